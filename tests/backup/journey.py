"""Backs up a running system, loses its engines, restores into empty ones, and compares."""
import datetime
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pymongo

ENGINES, PVT, WORK = os.environ["ENGINES"], os.environ["PVT"], os.environ["WORK"]
INSTANCES = os.environ["INSTANCES"]
POLL_SECONDS = 0.1
BOOKINGS = 40
# What a process keeps about itself, and what differs from one moment to the next.
NOT_COMPARED = {"schedules", "probes", "reconciliations", "audit"}


def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


API, SINK, SMTP, WORKERS = (f"127.0.0.1:{port()}" for _ in range(4))
env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
env.update(PVT_ENV="development", PVT_HTTP_ADDR=API, PVT_OPS_ADDR=SINK, SMTP_URL=f"smtp://{SMTP}", PUBLIC_URL=f"http://{API}",
           JWT_SECRET="the-secret-is-backed-up-apart-from-the-stores", PVT_RETRY_DIVISOR="100")
running = {}


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def pvt(*arguments):
    return run(PVT, *arguments, env=env, cwd=WORK)


def start_engines(instance):
    urls = run(ENGINES, "up", instance)
    env.update(line.split("=", 1) for line in urls.splitlines())


def start(name, *arguments, metrics="127.0.0.1:0"):
    log = open(f"{WORK}/{name}.log", "a")
    settings = dict(env, PVT_METRICS_ADDR=metrics)
    running[name] = subprocess.Popen([PVT, *arguments], env=settings, stdout=log, stderr=log, cwd=WORK)


def stop(name):
    process = running.pop(name)
    process.terminate()
    assert process.wait(40) == 0, name


def start_product():
    start("api", "api")
    start("workers", "workers", "run", "--all", metrics=WORKERS)
    for address in (API, WORKERS):
        until(f"{address} is ready", lambda: call("GET", "/readyz", base=f"http://{address}")[0] == 200)


def call(method, path, body=None, key=None, base=f"http://{API}"):
    headers = {"content-type": "application/json", **({"idempotency-key": key} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, method=method, headers=headers, data=data)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def until(what, condition, seconds=90):
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (urllib.error.URLError, OSError) as error:
            last = error
        time.sleep(POLL_SECONDS)
    sys.exit(f"FAILED: {what} within {seconds} s; last: {last}")


def book(number):
    first = datetime.date.today() + datetime.timedelta(days=20 + number)
    body = {
        "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
        "stays": [{"room_type_id": "dorm-6-mixed", "arrival": first.isoformat(),
                   "departure": (first + datetime.timedelta(days=2)).isoformat(), "guests": 1}],
        "guest": {"first_name": "Ada", "last_name": "Lovelace", "email": f"guest-{number}@example.com", "locale": "en"},
    }
    return call("POST", "/api/bookings", body, key=f"booking-{number}")


def shown(booking):
    status, body = call("GET", f"/api/bookings/{booking['id']}?token={booking['token']}")
    assert status == 200, body
    return body


def is_quiet():
    """No message waits, and none is in hand: the management API counts those every five seconds."""
    queues = json.loads(pvt("queues", "list", "--json"))
    return all(queue["ready"] == 0 and not queue.get("unacknowledged") for queue in queues)


def documents():
    with pymongo.MongoClient(env["MONGODB_URI"]) as client:
        database = client.get_default_database("pvt")
        names = sorted(set(database.list_collection_names()) - NOT_COMPARED)
        return {name: sorted(str(document) for document in database[name].find()) for name in names}


def rows():
    tables = run("psql", env["DATABASE_URL"], "-Atc", "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").split()
    return {table: sorted(run("psql", env["DATABASE_URL"], "-Atc", f'SELECT t::text FROM "{table}" t').splitlines()) for table in tables}


def back_up():
    # The mart first: what it lacks is loaded again from MongoDB, and what it had too much would be of no booking.
    run("pg_dump", "--format=custom", f"--file={WORK}/mart.dump", env["DATABASE_URL"])
    with pymongo.MongoClient(env["MONGODB_URI"]) as client:
        client.admin.command("fsync", lock=True)
        try:
            shutil.copytree(f"{INSTANCES}/backup-before/mongodb/data", f"{WORK}/mongodb", ignore=shutil.ignore_patterns("mongod.lock"))
        finally:
            client.admin.command("fsyncUnlock")


def restore():
    os.makedirs(f"{INSTANCES}/backup-after/mongodb")
    shutil.copytree(f"{WORK}/mongodb", f"{INSTANCES}/backup-after/mongodb/data")
    # The broker and PostgreSQL begin empty.
    start_engines("backup-after")
    run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={env['DATABASE_URL']}", f"{WORK}/mart.dump")
    pvt("migrate")
    pvt("topology", "apply")


def main():
    start_engines("backup-before")
    for arguments in (["migrate"], ["topology", "apply"], ["seed", "--days", "0"]):
        pvt(*arguments)
    start("sink", "dev", "mail-sink", "--smtp", SMTP, "--http", SINK, "--store", f"{WORK}/mails")
    start_product()
    accepted = [book(number) for number in range(BOOKINGS)]
    assert all(status == 202 for status, _ in accepted), accepted
    bookings = [body for _, body in accepted]

    print("== back up")
    pvt("maintenance", "on", "--reason", "the stores are backed up")
    until("changes are refused", lambda: "maintenance" in call("GET", "/api/health")[1])
    until("the queues are empty", is_quiet)
    assert all(shown(booking)["status"] == "confirmed" for booking in bookings)
    back_up()
    before, mart = documents(), rows()
    print("  ", {name: len(found) for name, found in {**before, **mart}.items() if found})
    assert len(before["bookings"]) == BOOKINGS and len(mart["fact_booking"]) == BOOKINGS

    print("== lose every engine, and restore into empty ones")
    for name in ("api", "workers"):
        stop(name)
    run(ENGINES, "down", "backup-before")
    shutil.rmtree(f"{INSTANCES}/backup-before")
    restore()
    assert documents() == before, "MongoDB differs"
    assert rows() == mart, "the mart differs"
    start_product()
    assert book(BOOKINGS)[1]["code"] == "maintenance", "a restored system is in the maintenance in which it was backed up"
    assert all(shown(booking)["status"] == "confirmed" for booking in bookings), "links of guests are still valid"

    print("== compare the stores with each other")
    reports = json.loads(pvt("reconcile", "run", "--json"))
    print("  ", reports)
    assert reports and all(not report.get("findings") for report in reports), reports

    print("== go on")
    pvt("maintenance", "off")
    later = until("bookings are accepted", lambda: (lambda it: it[0] == 202 and it[1])(book(BOOKINGS)))
    until("it is confirmed", lambda: shown(later)["status"] == "confirmed")
    until("it is in the mart", lambda: len(rows()["fact_booking"]) == BOOKINGS + 1)
    # Nothing was sent anew: one mail for each booking.
    mails = until("it has its mail", lambda: (lambda it: len(it[1]) > BOOKINGS and it[1])(
        call("GET", "/dev/mail.json?limit=500", base=f"http://{SINK}")))
    assert len(mails) == BOOKINGS + 1, len(mails)
    for name in ("api", "workers"):
        stop(name)
    print("backup: everything is restored, agrees, and goes on")


try:
    main()
except BaseException:
    for name in os.listdir(WORK):
        if name.endswith(".log"):
            with open(f"{WORK}/{name}") as log:
                print(f"--- {name}", *log.read().splitlines()[-15:], sep="\n", file=sys.stderr)
    raise
finally:
    for process in running.values():
        process.terminate()
    for process in running.values():
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
