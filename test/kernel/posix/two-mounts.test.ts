import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../../helpers/cluster.js';
import { built, describeIf, devFuse, root } from '../../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built);

kernel('two mounts of a filesystem', () => {
  let cluster: Cluster;
  const sh = (script: string): Promise<string> => cluster.box.sh(`set -e\n${script}`, { timeoutMs: 60_000 });

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('a');
    await cluster.mount('b');
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test('what was closed on one is read by an open on the other', async () => {
    const out = await sh(`for i in 1 2 3 4 5; do
        echo "$i from a" > a/f; cat b/f; echo "$i from b, longer" > b/f; cat a/f; stat -c %s a/f
      done`);
    expect(out).toBe([1, 2, 3, 4, 5].map((i) => `${i} from a\n${i} from b, longer\n17\n`).join(''));
  });

  test('a size that the kernel remembers does not cut what is read after an open', async () => {
    const out = await sh(`printf old > a/s; sleep 1.1; stat -c %s b/s
      echo 'a much longer text' > a/s; cat b/s; wc -c < b/s
      stat -c %s b/s; printf short > a/s; cat b/s; echo; : > a/s; cat b/s; echo again > a/s; cat b/s; rm a/s`);
    expect(out).toBe('3\na much longer text\n19\n19\nshort\nagain\n');
  });

  test('a file that the other unlinked or replaced stays readable and writable while open', async () => {
    const out = await sh(`echo first > a/u; echo second > a/r; exec 3<> b/u; exec 4<> b/r
      rm a/u; echo new > a/t; mv a/t a/r
      cat <&3; cat <&4; echo more >&3; exec 5< /proc/self/fd/3; cat <&5; cat a/r; ls a`);
    expect(out).toBe('first\nsecond\nfirst\nmore\nnew\nf\nr\n');
  });

  test('two directories moved into each other at once: one move fails, nothing is lost', async () => {
    const out = await sh(`for i in $(seq 20); do
        mkdir a/x a/y
        ( mv -T a/x a/y/x 2>/dev/null && echo moved > moved-a ) & ( mv -T b/y b/x/y 2>/dev/null && echo moved > moved-b ) &
        wait; cat moved-a moved-b 2>/dev/null | wc -l; find a -type d -name '[xy]' | wc -l
        rm -f moved-a moved-b; rm -rf a/x a/y
      done | sort | uniq -c | awk '{print $1, $2}'`);
    expect(out).toBe('20 1\n20 2\n');
  });

  test('of mkdirs of one name at once, one succeeds', async () => {
    const out = await sh(`for i in $(seq 20); do
        ( mkdir a/n$i 2>/dev/null && echo made ) & ( mkdir b/n$i 2>/dev/null && echo made ) & wait
      done | wc -l`);
    expect(out).toBe('20\n');
  });
});
