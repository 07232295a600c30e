import type { AnnotationQuery, Dashboard, DataQuery, Panel } from '@grafana/schema';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** A type as JSON spells it: members of enumerations are their values, and what has a default may be left out. */
export type Plain<T> = T extends string
  ? `${T}`
  : T extends number
    ? number
    : T extends (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [Key in keyof T]: Plain<T[Key]> }
        : T;

/** The query of an annotation has the fields of its data source beside those of all queries. */
type Annotation = Plain<Omit<AnnotationQuery, 'target'>> & { target?: Plain<DataQuery> & Record<string, unknown> };
export type Board = Plain<Omit<Dashboard, 'annotations'>> & { annotations?: { list?: Annotation[] } };
export type AnyPanel = Plain<Panel>;
export type Options = {
  heatmap: Plain<Partial<heatmap.Options>>;
  stat: Plain<Partial<stat.Options>>;
  table: Plain<Partial<table.Options>>;
  timeseries: Plain<Partial<timeseries.Options>>;
};
export type Fields = {
  heatmap: Plain<heatmap.FieldConfig>;
  stat: Record<string, never>;
  table: Plain<Partial<table.FieldConfig>>;
  timeseries: Plain<timeseries.FieldConfig>;
};
