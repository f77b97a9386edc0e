"""Rows that are pushed: to a server that is killed, and that the lake and the online answers hold each exactly once."""
import concurrent.futures
import json
import os
import random
import signal
import subprocess
import time
import urllib.error
import urllib.request

from harness import Failure, environment, expect, expect_equal, program

FILES = {
    "tidemill.yaml": "project: cards\n",
    "sources/taps.yaml": """from: push
known_at: booked_at
contract:
  columns:
    card:      {type: integer, required: true}
    amount:    {type: number, between: [0, 1000]}
    tapped_at: {type: timestamp, required: true}
    booked_at: {type: timestamp}
""",
    "tables/payments.sql": "SELECT * FROM taps\n",
    "tables/payments.yaml": "timestamp: tapped_at\n",
    "tables/large.sql": "SELECT card, amount, tapped_at FROM taps WHERE amount > 50\n",
    "tables/large.yaml": "timestamp: tapped_at\nupdate: append\n",
    "features/spending.yaml": """entity: [card]
from: payments
lookback: 7d
features:
  total: {value: sum(amount), windows: [1d, 7d]}
  n:     {value: count(*)}
""",
    "features/splurges.yaml": """entity: [card]
from: large
features:
  n: {value: count(*)}
""",
}
CARDS = 5


class Server:
    def __init__(self, folder):
        self.process = subprocess.Popen([program(), "serve", "--port", "0"], cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.port = self.wait_for_port(os.path.join(folder, ".tidemill", "server.json"))

    def wait_for_port(self, path):
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with open(path, encoding="utf-8") as file:
                    endpoint = json.load(file)
                if endpoint["pid"] == self.process.pid:
                    return endpoint["port"]
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        self.end(signal.SIGKILL)
        raise Failure("the server doesn't start")

    def call(self, path, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait()


class Pushing:
    def __init__(self, folder):
        self.folder = os.path.join(folder, "cards")
        for name, text in FILES.items():
            path = os.path.join(self.folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        self.random = random.Random(5)
        self.sent = {}  # push id -> rows, of those acknowledged

    def tidemill(self, *arguments):
        done = subprocess.run([program(), *arguments, "--json"], cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False)
        expect(done.returncode == 0, f"'{' '.join(arguments)}' works", done.stderr[-1500:])
        return json.loads(done.stdout) if done.stdout else None

    def push(self, server, number):
        rows = [{"card": self.random.randrange(CARDS), "amount": self.random.randrange(10_000) / 100,
                 "tapped_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - self.random.randrange(100_000)))}
                for _ in range(self.random.randrange(1, 8))]
        server.call("/v1/push/taps", {"id": f"p{number}", "rows": rows})
        self.sent[f"p{number}"] = rows

    def rows_in_lake(self):
        return self.tidemill("query", "SELECT card, amount, tapped_at FROM taps")

    def expect_all_there(self):
        """What was acknowledged is in the answers, and once in the lake."""
        self.tidemill("run")
        wanted = sorted((row["card"], row["amount"], row["tapped_at"]) for rows in self.sent.values() for row in rows)
        stored = self.rows_in_lake()
        stored = stored["rows"] if isinstance(stored, dict) else stored
        expect_equal(sorted((row["card"], row["amount"], row["tapped_at"]) for row in stored), wanted, "rows in the lake")
        for view, rows in (("spending", wanted), ("splurges", [row for row in wanted if row[1] > 50])):
            answers = self.tidemill("features", "get", view, json.dumps([{"card": card} for card in range(CARDS)]))["results"]
            counts = [sum(row[0] == card for row in rows) for card in range(CARDS)]
            expect_equal([answer["features"]["n"] for answer in answers], counts, f"rows by card in {view}")

    def test_what_was_acknowledged_survives_kill(self):
        number = 0
        for kill in range(4):
            server = Server(self.folder)
            until = time.monotonic() + self.random.random() * 4
            while time.monotonic() < until:
                self.push(server, number)
                number += 1
                if number % 10 == 0:  # at once, from several threads
                    with concurrent.futures.ThreadPoolExecutor(4) as threads:
                        list(threads.map(lambda at: self.push(server, at), range(number, number + 8)))
                    number += 8
            server.end(signal.SIGKILL)
            if kill % 2 == 0:
                self.expect_all_there()
        expect(number > 20, "pushes were made", str(number))
        self.expect_all_there()

    def test_the_next_server_answers_at_once(self):
        server = Server(self.folder)
        before = server.call("/v1/features/spending", {"entities": [{"card": 1}]})["results"][0]["features"]["n"]
        rows = [{"card": 1, "amount": 1, "tapped_at": "2026-01-01T00:00:00Z"}]
        server.call("/v1/push/taps", {"rows": rows})
        after = server.call("/v1/features/spending", {"entities": [{"card": 1}]})["results"][0]["features"]["n"]
        self.sent["other"] = rows
        try:
            expect_equal(after, before + 1, "rows of the card after a push")
            repeated = server.call("/v1/push/taps", {"id": "p0", "rows": self.sent["p0"]})
            expect_equal(repeated["repeated"], True, "a push sent again")
            self.expect_all_there()  # through the server
        finally:
            server.end(signal.SIGTERM)
        self.expect_all_there()

    def test_bad_pushes_are_answered_with_what_is_wrong(self):
        server = Server(self.folder)
        try:
            for body, status, code in (
                    (b"", 400, "bad_json"), (b"\xff", 400, "bad_json"), (b"[]", 400, "bad_request"), (b"{}", 400, "missing_field"),
                    (b'{"rows": []}', 400, "empty_push"), (b'{"rows": [1]}', 400, "bad_request"),
                    (b'{"rows": [{"card": 1, "tapped_at": "2026-01-01", "x": 1}]}', 400, "unknown_column"),
                    (b'{"rows": [{"card": "1", "tapped_at": "2026-01-01"}]}', 400, "bad_value"),
                    (b'{"rows": [{"card": 1e30, "tapped_at": "2026-01-01"}]}', 400, "bad_value"),
                    (b'{"id": "", "rows": [{"card": 1}]}', 400, "bad_value"),
                    (b'{"rows": [' + b",".join([b'{"card": 1}'] * 10_001) + b"]}", 400, "too_many_rows"),
                    (b'{"rows": [{"card": 1, "tapped_at": "' + b"x" * 5_000_000 + b'"}]}', 413, None)):
                request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v1/push/taps", body, method="POST")
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        raise Failure(f"{body[:40]!r} was answered with {answer.status}: {answer.read()[:200]!r}")
                except urllib.error.HTTPError as error:
                    text = error.read()
                    expect_equal(error.code, status, f"status of {body[:40]!r}")
                    if code:
                        expect_equal(json.loads(text)["error"]["code"], code, f"code of {body[:40]!r}")
                except urllib.error.URLError:
                    expect_equal(status, 413, f"{body[:40]!r} breaks the connection")
        finally:
            server.end(signal.SIGTERM)
        self.expect_all_there()
