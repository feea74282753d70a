import { FsError } from '../common/fs-error.js';
import { aclKind } from '../model/acl.js';
import { XATTR_NAME_MAX_BYTES } from '../model/inode.js';

/** The namespaces of xattr(7); of `system.*` there are the ACLs. */
export type XattrNamespace = 'user' | 'trusted' | 'security' | 'acl';

const PREFIXES: readonly (readonly [Exclude<XattrNamespace, 'acl'>, Buffer])[] = (
  ['user', 'trusted', 'security'] as const
).map((namespace) => [namespace, Buffer.from(`${namespace}.`)]);

/** The namespace of a valid name. Throws EOPNOTSUPP for one that is not kept here (other `system.*`), ERANGE or EINVAL for a bad one. */
export function xattrNamespace(name: Uint8Array): XattrNamespace {
  if (name.length > XATTR_NAME_MAX_BYTES) throw new FsError('ERANGE', 'a long attribute name');
  for (const [namespace, prefix] of PREFIXES) {
    if (startsWith(name, prefix)) {
      if (name.length === prefix.length) throw new FsError('EINVAL', 'an empty attribute name');
      return namespace;
    }
  }
  if (aclKind(name) !== undefined) return 'acl';
  throw NOT_SUPPORTED;
}

const NOT_SUPPORTED = new FsError('EOPNOTSUPP', 'extended attributes of that kind');

function startsWith(name: Uint8Array, prefix: Buffer): boolean {
  if (name.length < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (name[i] !== prefix[i]) return false;
  return true;
}
