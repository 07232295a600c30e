// What the API answers, by the names that the pages use. `schema.ts` is made from the server's OpenAPI document.
import type { components, paths } from "./schema";

type Schemas = components["schemas"];

export type Me = Schemas["Me"];
export type Role = Me["role"];
export type Overview = Schemas["Overview"];
export type Mood = Schemas["Strip"];
export type HeatAnswer = Schemas["Heat"];
export type Bucket = HeatAnswer["bucket"];
export type Mover = Schemas["MoverBody"];
export type Movers = Schemas["Movers"];
export type Kind = Mover["kind"];
export type SeriesAnswer = Schemas["Course"];
export type FoundSeries = Schemas["FoundSeries"];
export type Arithmetic = Schemas["Arithmetic"];
export type Piece = Schemas["Piece"];
export type Story = Schemas["StoryBody"];
export type SentimentName = NonNullable<Story["sentiment"]>;
export type Message = Schemas["MessageBody"];
export type Term = Schemas["TermBody"];
export type SourceCount = Schemas["SourceBody"];
export type Found = Schemas["FoundBody"];
export type Incident = Schemas["IncidentBody"];
export type IncidentDetail = Schemas["IncidentDetail"];
export type Handling = Schemas["HandlingBody"];
export type Figures = Schemas["Figures"];
export type Queue = Schemas["Queue"];
export type QueueItem = Schemas["QueueItem"];
export type SavedLabels = Schemas["SavedLabels"];
export type SavedAlike = Schemas["SavedAlike"];
export type LabelEvent = Schemas["LabelEvent"];
export type LabelFigures = Schemas["LabelFigures"];
export type PairOfAnalysts = Schemas["PairOfAnalysts"];
export type Dispute = Schemas["Dispute"];
export type Explanation = Schemas["Explanation"];
export type WordWeight = Schemas["WordWeight"];
export type Models = Schemas["Models"];
export type ModelDetail = Schemas["ModelDetail"];
export type TaskFigures = Schemas["TaskFigures"];
export type Comparison = Schemas["Comparison"];
export type TaskComparison = Schemas["TaskComparison"];
export type Verdict = NonNullable<Comparison["verdict"]>;
export type Evaluation = Schemas["Evaluation"];
export type Accuracy = Evaluation["items"][number];
export type Training = Schemas["Training"];
export type Taxonomy = Schemas["Taxonomy"];
export type Token = Schemas["Token"];
export type MadeToken = Schemas["MadeToken"];
export type AuditEvent = Schemas["Event"];

/** A part of a list; `next` is the cursor of the part after it. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

/** What drove an alert, as far as alerting wrote it down. */
export interface Evidence {
  stories?: { headline: string; url: string; first_at: string; sources: string[]; messages: number; sentiment?: string | null; entities?: Record<string, string> }[];
  words?: string[];
  entities?: { name: string; stories: number }[];
  sources?: { name: string; stories: number }[];
  counts?: { negative: number; stories: number; messages: number };
  /** Counts without the model's known mistakes. */
  corrected?: { negative: number } | null;
}

export const SENTIMENTS: readonly SentimentName[] = ["negative", "neutral", "positive"];

type Filled<Path extends string> = Path extends `${infer Before}{${string}}${infer After}` ? `${Before}${string}${Filled<After>}` : Path;
type Relative<Path> = Path extends `/api/v1${infer Rest}` ? Filled<Rest> : never;

/** Addresses that the API has, below `/api/v1`, whatever stands for their parameters. */
export type ApiPath = Relative<keyof paths>;
