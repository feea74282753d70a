/** Whom the cases run as: credentials of one helper process each. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly umask: number;
  /** Effective capabilities; what the uid has by itself when it is not given. */
  readonly caps?: readonly string[];
}

const plain = (uid: number, gid = uid, groups: readonly number[] = [], caps?: readonly string[]): User => ({
  uid,
  gid,
  groups,
  umask: 0o022,
  ...(caps === undefined ? {} : { caps }),
});

/** The group of `u1`, `member` and `supp`. */
export const SHARED_GID = 2001;

export const USERS: Readonly<Record<string, User>> = {
  root: { ...plain(0), umask: 0 },
  /** Root in name only. */
  nocaps: plain(0, 0, [], []),
  u1: plain(1001, 1001, [SHARED_GID, 2002]),
  u2: plain(1002),
  /** Of the shared group by its gid, and by a supplementary group. */
  member: plain(1003, SHARED_GID),
  supp: plain(1004, 1004, [2005, SHARED_GID]),
  chowner: plain(1005, 1005, [], ['CHOWN']),
  fowner: plain(1006, 1006, [], ['FOWNER']),
  dac: plain(1007, 1007, [], ['DAC_OVERRIDE']),
  search: plain(1008, 1008, [], ['DAC_READ_SEARCH']),
  fsetid: plain(1009, 1009, [], ['FSETID']),
  maker: plain(1010, 1010, [], ['MKNOD']),
};
