"use server";

import { revalidatePath } from "next/cache";

import * as backend from "@/lib/backend";
import { taskOf } from "@/lib/form";

/** What went wrong with the last change, for the page to say; null when nothing did. */
export type Failure = string | null;

export async function add(_: Failure, form: FormData): Promise<Failure> {
  const task = taskOf(form);
  return task.ok ? shown(await backend.addTask(task.value)) : task.reason;
}

export async function complete(id: number, completed: boolean): Promise<Failure> {
  return Number.isSafeInteger(id) ? shown(await backend.setCompleted(id, completed)) : "No such task.";
}

export async function remove(id: number): Promise<Failure> {
  return Number.isSafeInteger(id) ? shown(await backend.deleteTask(id)) : "No such task.";
}

function shown(answer: backend.Answer<unknown>): Failure {
  revalidatePath("/");
  return answer.ok ? null : answer.reason;
}
