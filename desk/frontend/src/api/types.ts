// What the API answers.
export type Role = "viewer" | "analyst" | "admin";
export type Kind = "topic" | "entity" | "source";
export type Bucket = "5m" | "15m" | "1h" | "6h" | "1d";
export type SentimentName = "negative" | "neutral" | "positive";

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Me {
  name: string;
  role: Role;
  csrf: string | null;
}

export interface Mood {
  since: string;
  until: string;
  mood: number | null;
  change: number | null;
  usual: number | null;
  stories: number;
  negative: number;
  neutral: number;
  positive: number;
  messages: number;
  freshness_s: number | null;
  watermark: string | null;
  judged_until: string | null;
  complete_until: string | null;
  pages_7d: number;
  budget_per_week: number;
}

export interface HeatAnswer {
  bucket: Bucket;
  times: string[];
  rows: {
    kind: Kind;
    name: string;
    label: string;
    stories: number[];
    negative: number[];
    expected: (number | null)[];
    surprise: (number | null)[];
    share: (number | null)[];
  }[];
  few: number;
  complete_until: string | null;
}

export interface Mover {
  kind: Kind;
  name: string;
  label: string;
  stories: number;
  negative: number;
  expected: number | null;
  surprise: number | null;
  share: number | null;
  share_low: number | null;
  share_high: number | null;
  reach: number;
  novelty: number | null;
}

export interface SeriesAnswer {
  kind: Kind | "all";
  name: string;
  label: string;
  bucket: Bucket;
  times: string[];
  negative: number[];
  neutral: number[];
  positive: number[];
  messages: number[];
  expected: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  surprise: (number | null)[];
  complete_until: string | null;
  judged_until: string | null;
  stale_from: string | null;
  unjudged: number;
  alerts: { id: string; incident: string | null; signal: string; state: string; opened_at: string; closed_at: string | null; score: number }[];
  swaps: { at: string; model: string; actor: string; reason: string }[];
}

export interface Piece {
  at: string;
  negative: number;
}

export interface Arithmetic {
  kind: Kind | "all";
  name: string;
  bucket: Bucket;
  at: string;
  observed: number;
  expected: number | null;
  alpha: number | null;
  tail: number | null;
  surprise: number | null;
  hour: string;
  level: number | null;
  level_sum: number;
  level_hours: number;
  days: Piece[];
  daily: number | null;
  weeks: Piece[];
  hourly: number | null;
  complete: boolean;
}

export interface Story {
  id: string;
  headline: string;
  url: string | null;
  first_at: string;
  last_at: string;
  copies: number;
  sources: string[];
  entities: string[];
  topic: string | null;
  sentiment: SentimentName | null;
  scores: number[] | null;
  uid: string | null;
  language: string | null;
  model: string | null;
}

export interface Message {
  uid: string;
  source: string;
  kind: string;
  published_at: string;
  title: string;
  text: string;
  url: string;
  author: string;
}

export interface Term {
  word: string;
  stories: number;
  before: number;
  log_odds: number;
  strength: number;
}

export interface SourceCount {
  name: string;
  label: string;
  messages: number;
  stories: number;
  negative: number;
  neutral: number;
  positive: number;
  mood: number | null;
}

export const SENTIMENTS: readonly SentimentName[] = ["negative", "neutral", "positive"];

export interface Incident {
  id: string;
  kind: string;
  name: string;
  signal: string;
  state: "open" | "closed" | "withdrawn";
  opened_at: string;
  last_at: string;
  closed_at: string | null;
  peak_at: string;
  window_minutes: number;
  observed: number;
  expected: number;
  score: number;
  alerts: number;
  verdict: "useful" | "false" | null;
  acknowledged: boolean;
  snoozed_until: string | null;
  handled_by: string | null;
  handled_at: string | null;
}

export interface Evidence {
  stories?: { headline: string; url: string; first_at: string; sources: string[]; messages: number }[];
  words?: string[];
  negative_stories?: number;
}

export interface IncidentDetail {
  incident: Incident;
  alerts: {
    id: string;
    kind: string;
    name: string;
    signal: string;
    state: string;
    opened_at: string;
    closed_at: string | null;
    peak_at: string;
    window_minutes: number;
    observed: number;
    expected: number;
    score: number;
    evidence: Evidence;
  }[];
  history: { change: string; times: number; at: string; recorded_at: string }[];
  handling: { account: string; acknowledged: boolean; snoozed_until: string | null; at: string }[];
  feedback: { verdict: "useful" | "false"; analyst: string; note: string; at: string }[];
}

export interface Figures {
  weeks: number;
  incidents: number;
  useful: number;
  false: number;
  per_week: number;
  false_per_week: number;
  false_share: number | null;
  budget_per_week: number;
}
