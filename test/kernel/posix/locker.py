"""A process that locks files as it is told: one JSON command per line on descriptor 3, one JSON answer per line on stdout."""
import errno, fcntl, json, mmap, os, signal, struct, sys

OFD = {"getlk": 36, "setlk": 37, "setlkw": 38}
POSIX = {"getlk": fcntl.F_GETLK, "setlk": fcntl.F_SETLK, "setlkw": fcntl.F_SETLKW}
TYPES = {"read": fcntl.F_RDLCK, "write": fcntl.F_WRLCK, "unlock": fcntl.F_UNLCK}
NAMES = {value: name for name, value in TYPES.items()}
FLOCKS = {"read": fcntl.LOCK_SH, "write": fcntl.LOCK_EX, "unlock": fcntl.LOCK_UN}
FLOCK64 = "hhqqi4x"

class Interrupted(Exception):
    pass

def interrupt(_number, _frame):
    raise Interrupted()

signal.signal(signal.SIGUSR1, interrupt)
files, maps = {}, {}

def record_lock(numbers, call, f, type, start=0, length=0):
    lock = struct.pack(FLOCK64, TYPES[type], os.SEEK_SET, start, length, 0)
    kind, _, start, length, pid = struct.unpack(FLOCK64, fcntl.fcntl(files[f], numbers[call], lock))
    return {"type": NAMES[kind], "start": start, "length": length, "pid": pid} if call == "getlk" else None

def flock(f, type, wait):
    fcntl.flock(files[f], FLOCKS[type] | (0 if wait else fcntl.LOCK_NB))

def run(op, f="f", **args):
    if op == "open":
        files[f] = os.open(args["path"], os.O_RDWR | os.O_CREAT, 0o644)
    elif op == "dup":
        files[args["to"]] = os.dup(files[f])
    elif op == "close":
        os.close(files.pop(f))
    elif op == "posix":
        return record_lock(POSIX, args.pop("call"), f, **args)
    elif op == "ofd":
        return record_lock(OFD, args.pop("call"), f, **args)
    elif op == "flock":
        flock(f, args["type"], args.get("wait", False))
    elif op == "write":
        os.pwrite(files[f], args["text"].encode(), args.get("at", 0))
    elif op == "read":
        return os.pread(files[f], args.get("size", 4096), args.get("at", 0)).decode()
    elif op == "map":
        maps[f] = mmap.mmap(files[f], args["size"], prot=mmap.PROT_READ)
    elif op == "mapped":
        return maps[f][:].decode()
    elif op == "size":
        return os.fstat(files[f]).st_size
    elif op == "count":
        for _ in range(args["times"]):
            flock(f, "write", True)
            value = int(os.pread(files[f], 32, 0) or b"0")
            os.pwrite(files[f], str(value + 1).encode(), 0)
            flock(f, "unlock", True)
    else:
        raise ValueError(op)
    return None

def main():
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in os.fdopen(3):
        command = json.loads(line)
        number = command.pop("id")
        print(json.dumps({"begun": number}), flush=True)
        try:
            answer = {"value": run(**command)}
        except OSError as error:
            answer = {"errno": {errno.EDEADLK: "EDEADLK"}.get(error.errno, errno.errorcode[error.errno])}
        except Interrupted:
            answer = {"errno": "EINTR"}
        print(json.dumps({"id": number, **answer}), flush=True)

main()
