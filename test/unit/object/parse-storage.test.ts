import { describe, expect, test } from '@jest/globals';
import { formatStorage, parseStorage, type StorageFlags } from '../../../src/object/parse-storage.js';
import type { ObjectStorageSpec } from '../../../src/object/storage-spec.js';
import type { StorageSpec } from '../../../src/model/filesystem.js';

/** Compiles only while the two types are the same. */
const toModel = (spec: ObjectStorageSpec): StorageSpec => spec;
const fromModel = (spec: StorageSpec): ObjectStorageSpec => spec;

const s3 = {
  kind: 's3',
  bucket: 'my-bucket',
  prefix: '',
  endpoint: '',
  region: 'eu-west-1',
  pathStyle: false,
} as const;

describe('parseStorage', () => {
  const good: [string, StorageFlags, ObjectStorageSpec][] = [
    ['file:///srv/data', {}, { kind: 'file', path: '/srv/data' }],
    ['file:///srv//data/./x/', {}, { kind: 'file', path: '/srv/data/x' }],
    ['file:///with space', { pathStyle: false }, { kind: 'file', path: '/with space' }],
    ['s3://my-bucket', { region: 'eu-west-1' }, s3],
    ['s3://my-bucket/', { region: 'eu-west-1' }, s3],
    ['s3://my-bucket/a/b_c.d-e/', { region: 'eu-west-1' }, { ...s3, prefix: 'a/b_c.d-e' }],
    [
      's3://my-bucket',
      { endpoint: 'http://h:9000/', pathStyle: true },
      { ...s3, endpoint: 'http://h:9000', region: 'us-east-1', pathStyle: true },
    ],
    [
      's3://my-bucket',
      { endpoint: 'https://s3.example.com', region: 'eu-west-1' },
      { ...s3, endpoint: 'https://s3.example.com' },
    ],
  ];
  test.each(good)('%s %j', (storage, flags, spec) => {
    expect(parseStorage(storage, flags)).toEqual(spec);
    expect(parseStorage(formatStorage(spec), spec.kind === 's3' ? spec : {})).toEqual(spec);
    expect(fromModel(toModel(spec))).toBe(spec);
  });

  const bad: [string, StorageFlags, string][] = [
    ['', {}, 'must be file:///ABSOLUTE/DIR or s3://BUCKET[/PREFIX]'],
    ['/srv/data', {}, 'must be file:///ABSOLUTE/DIR or s3://BUCKET[/PREFIX]'],
    ['gs://bucket', {}, 'must be file:///ABSOLUTE/DIR or s3://BUCKET[/PREFIX]'],
    ['file://relative/dir', {}, 'needs an absolute path with three slashes'],
    ['file:/srv', {}, 'needs an absolute path with three slashes'],
    ['file:///', {}, 'the root directory cannot be an object store'],
    ['file:///a/../b', {}, "must not have '..'"],
    ['file:///a\0b', {}, 'has a NUL character'],
    ['file:///a', { endpoint: 'http://h' }, '--endpoint is for s3:// storage'],
    ['file:///a', { region: 'r' }, '--region is for s3:// storage'],
    ['file:///a', { pathStyle: true }, '--path-style is for s3:// storage'],
    ['s3:my-bucket', { region: 'r' }, 'must be s3://BUCKET[/PREFIX]'],
    ['s3://', { region: 'r' }, "the bucket's name is missing"],
    ['s3:///prefix', { region: 'r' }, "the bucket's name is missing"],
    ['s3://My_Bucket', { region: 'r' }, '"My_Bucket" is not a bucket name'],
    ['s3://ab', { region: 'r' }, 'is not a bucket name'],
    [`s3://${'a'.repeat(64)}`, { region: 'r' }, 'is not a bucket name'],
    ['s3://-abc', { region: 'r' }, 'is not a bucket name'],
    ['s3://a..b', { region: 'r' }, 'is not a bucket name'],
    ['s3://192.168.0.1', { region: 'r' }, 'is not a bucket name'],
    ['s3://my-bucket/a//b', { region: 'r' }, 'the prefix must be parts of letters'],
    ['s3://my-bucket/../b', { region: 'r' }, 'the prefix must be parts of letters'],
    ['s3://my-bucket/a b', { region: 'r' }, 'the prefix must be parts of letters'],
    [`s3://my-bucket/${'a'.repeat(201)}`, { region: 'r' }, 'the prefix is longer than 200'],
    ['s3://my-bucket', {}, 'give --region, or --endpoint'],
    ['s3://my-bucket', { region: 'EU West' }, '--region "EU West": must be lower-case'],
    ['s3://my-bucket', { region: '' }, 'give --region'],
    ['s3://my-bucket', { endpoint: 'h:9000' }, '--endpoint "h:9000": must be http://HOST'],
    ['s3://my-bucket', { endpoint: 'localhost' }, '--endpoint "localhost": must be http://HOST'],
    ['s3://my-bucket', { endpoint: 'ftp://h' }, '--endpoint "ftp://h": must be http://HOST'],
    ['s3://my-bucket', { endpoint: 'http://h/path' }, 'must not have anything behind the host and port'],
    ['s3://my-bucket', { endpoint: 'http://key:SECRET@h' }, 'must not have credentials in it'],
  ];
  test.each(bad)('%j %j is refused: %s', (storage, flags, reason) => {
    expect(() => parseStorage(storage, flags)).toThrow(reason);
    expect(() => parseStorage(storage, flags)).not.toThrow('SECRET');
  });
});
