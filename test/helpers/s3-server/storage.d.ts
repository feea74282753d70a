import type { S3ServerStorage } from './server.js';

export const MemoryStorage: new () => S3ServerStorage;
export const DirectoryStorage: new (root: string) => S3ServerStorage;
