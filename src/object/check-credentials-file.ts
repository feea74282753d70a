import { CredentialsFile } from './credentials.js';

/** Throws 'bad-credentials' when a file with credentials is given that cannot be used, whether a store will ask for it or not. */
export async function checkCredentialsFile(path: string | undefined): Promise<void> {
  if (path !== undefined) await new CredentialsFile(path).read();
}
