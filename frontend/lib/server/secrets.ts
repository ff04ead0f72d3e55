/**
 * Secrets that change: what one signed or encrypted is understood as long as it is known. A secret
 * is named by a number made from it, so that nobody numbers them by hand and two replicas agree.
 */

import { createHash } from "node:crypto";

import { constantTimeEqual, makeSignature } from "better-auth/crypto";

/** The first signs and encrypts; the others are still understood, the most recent first. */
export type Secrets = [string, ...string[]];
export type Versioned = { version: number; value: string };

/** 48 bits of a one-way digest, which fit a number exactly and tell nothing of the secret. */
export function versioned(secret: string): Versioned {
  return { version: createHash("sha256").update(`version of ${secret}`).digest().readUIntBE(0, 6), value: secret };
}

/**
 * The order of secrets while a change of them is rolled out. Replicas that are not replaced yet know
 * the most recent former one at best, so until they are gone it goes on signing and encrypting.
 */
export function whileRolling([current, last, ...older]: Secrets): Secrets {
  return last === undefined ? [current] : [last, current, ...older];
}

/** Whether one of these secrets encrypted this text, going by the version that Better Auth writes before it. */
export function decryptable(encrypted: string, secrets: readonly Versioned[]): boolean {
  return secrets.some(({ version }) => encrypted.startsWith(`$ba$${version}$`));
}

/**
 * A signed cookie's value with the signature of the first secret instead of a former one. Null when
 * there is nothing to do: the first signed it, or nobody known did.
 */
export async function signedAnew(value: string, secrets: readonly string[]): Promise<string | null> {
  const [current, ...former] = secrets;
  const dot = value.lastIndexOf(".");
  if (current === undefined || dot < 1) return null;
  const [content, signature] = [value.slice(0, dot), value.slice(dot + 1)];
  for (const secret of former) {
    if (constantTimeEqual(await makeSignature(content, secret), signature)) {
      return `${content}.${await makeSignature(content, current)}`;
    }
  }
  return null;
}
