"""Edges and cores that the benchmarks here start, with data and ports of their own."""
import contextlib, json, os, pathlib, random, shutil, socket, statistics, subprocess, sys, tempfile, threading, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")
MIB = 1 << 20


def free_ports(count):
    """Below the range from which the system takes ports for outgoing connections."""
    ports = []
    while len(ports) < count:
        port = random.randrange(20000, 30000)
        with contextlib.closing(socket.socket()) as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                if port not in ports:
                    ports.append(port)
    return ports


class Daemon:
    """A program that is there once it listens on `port`, and where `http` is a port, once it says there that it is ready."""

    def __init__(self, program, config, port, environment, http=None):
        self.command, self.port, self.process = [str(program), "--config", str(config)], port, None
        self.http = http
        self.environment = {**os.environ, **environment}

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.environment, stdout=sys.stderr)
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                if self.http is None or urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz").status == 200:
                    return
            if self.process.poll() is not None:
                sys.exit(f"{self.command[0]} ended with code {self.process.returncode}")
            time.sleep(0.02)

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        if code != 0:
            sys.exit(f"{self.command[0]} ended with code {code}")

    def cpu(self):
        """Processor time so far, in seconds."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE / MIB


class Memory:
    """Resident memory of a daemon, sampled while the block runs: median and maximum, in MiB."""

    def __init__(self, daemon):
        self.daemon, self.samples, self.done = daemon, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.done.wait(0.05):
            self.samples.append(self.daemon.resident())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def median(self):
        return statistics.median(self.samples)

    def most(self):
        return max(self.samples)


def yaml_of(settings):
    """Nested mappings from dotted names; JSON is YAML."""
    tree = {}
    for name, value in settings.items():
        at, *rest = name.split(".")
        node = tree
        for part in rest:
            node = node.setdefault(at, {})
            at = part
        node[at] = value
    return json.dumps(tree, indent=1)


class World:
    """One edge and one core of a build, with data of their own. `tables`: they serve tables over HTTP."""

    def __init__(self, build, directory, environment, settings, tables=False):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="selvage-bench.", dir=directory))
        ctl = build / "ctl/selvagectl"
        pki = self.dir / "pki"
        run = lambda *args: subprocess.run([str(ctl), "pki", *args], check=True, stdout=subprocess.DEVNULL)
        run("init", "--dir", str(pki), "--trust-domain", "bench.selvage")
        run("issue", "--dir", str(pki), "--role", "edge", "--id", "edge")
        run("issue", "--dir", str(pki), "--role", "core", "--id", "core")
        run("issue", "--dir", str(pki), "--role", "operator", "--id", "bench")
        self.ctl, self.identity = ctl, pki / "operator-bench"
        link, *rest = free_ports(8)
        self.edge_kafka, self.core_kafka, self.edge_api, self.core_api = rest[3:]
        address = lambda port: f"127.0.0.1:{port}"
        self.edge_admin, self.core_admin = address(rest[0]), address(link)
        tls = lambda name: {"tls.cert": f"{pki}/{name}.crt", "tls.key": f"{pki}/{name}.key", "tls.ca": f"{pki}/ca.crt"}
        common = {"storage.budget": "24GiB", "log.level": "warning"}
        # Builds from before there were tables do not know it.
        known = subprocess.run([str(build / "edge/selvage-edge"), "--print-config-reference"], capture_output=True, text=True)
        api = lambda port: {"api.listen": address(port) if tables else "off"} if "\napi:" in known.stdout else {}
        edge = {"node.id": "edge", "data_dir": f"{self.dir}/edge", **tls("edge-edge"), "link.addresses": [address(link)],
                "link.backoff_min": "20ms", "link.backoff_max": "50ms", "admin.listen": address(rest[0]),
                "http.listen": address(rest[1]), "kafka.listen": address(self.edge_kafka), **api(self.edge_api), **common, **settings}
        core = {"node.id": "core", "data_dir": f"{self.dir}/core", **tls("core-core"), "link.listen": address(link),
                "http.listen": address(rest[2]), "kafka.listen": address(self.core_kafka), **api(self.core_api), **common}
        (self.dir / "edge.yaml").write_text(yaml_of(edge))
        (self.dir / "core.yaml").write_text(yaml_of(core))
        self.edge = Daemon(build / "edge/selvage-edge", self.dir / "edge.yaml", self.edge_kafka, environment, rest[1])
        self.core = Daemon(build / "core/selvage-core", self.dir / "core.yaml", self.core_kafka, environment, rest[2])

    def run(self, address, *arguments):
        """What selvagectl prints, as the operator, of the node at this address."""
        command = [str(self.ctl), "--address", address, "--identity", str(self.identity), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def close(self):
        try:
            self.edge.stop()
            self.core.stop()
        finally:
            shutil.rmtree(self.dir)
