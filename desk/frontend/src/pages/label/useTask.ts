// The task that is labelled: in the address, and changed with [ and ].
import { queryOf, setQuery } from "../../router";
import { labelsOf, taxonomy } from "../../state/taxonomy";
import { useKeys } from "../../ui/keys";

export interface ChosenTask {
  task: string;
  tasks: readonly string[];
  labels: readonly string[];
  choose: (task: string) => void;
}

export function useTask(): ChosenTask {
  const tasks = taxonomy.value?.tasks.map((task) => task.name) ?? [];
  const task = tasks.find((name) => name === queryOf("task")) ?? tasks[0] ?? "";
  const choose = (name: string): void => setQuery({ task: name });
  const step = (by: number): void => {
    const next = tasks[(tasks.indexOf(task) + by + tasks.length) % tasks.length];
    if (next) choose(next);
  };
  useKeys("keys.task", [
    { key: "]", text: "keys.task.next", run: () => step(1) },
    { key: "[", text: "keys.task.previous", run: () => step(-1) },
  ]);
  return { task, tasks, labels: labelsOf(task), choose };
}
