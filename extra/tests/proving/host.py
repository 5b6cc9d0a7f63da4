"""A host that is being traced, run as a process: the stand-in, or a real klippy.

Both get the same package `extras`, made in a temporary folder: the tracing extra (ours, or the model
of the seed's design), the modules of `modules/`, and for klippy those of its own. Both are talked to
over the API socket.

A real one is named by the environment: `K485_KLIPPER` is a checkout with `klippy/` and
`out/klipper.elf`, built for a Linux process; `K485_KLIPPER_PYTHON` is the Python that has what
klippy needs, `bin/python` of a virtual environment. Unset, it is the checkout's `.venv`, or
`../klippy-env` beside the checkout, as Klipper's own installation lays it.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import compiled

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
EXTRA = TESTS.parent / 'trace_hooks'
SEED = TESTS / 'seed_design' / 'trace_hooks.py'

# How long anything is waited for. Generous: the machine may be busy with other tests.
PATIENCE = 60.


class GcodeError(Exception):
    """A command was answered with an error."""


class HostDied(AssertionError):
    """The process ended, or its API socket did."""


def wait_for(condition, what, patience=PATIENCE):
    """Waits until `condition()` is true, and gives its value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %.0f s in vain: %s" % (patience, what))
        time.sleep(0.01)


def klipper():
    """The real Klipper's checkout and its Python, or a word why there is none."""
    path = os.environ.get('K485_KLIPPER')
    if not path:
        return None, 'ignored: unset'
    path = pathlib.Path(path)
    for part in ('klippy/klippy.py', 'out/klipper.elf'):
        if not (path / part).exists():
            raise RuntimeError("K485_KLIPPER=%s: there is no %s in it" % (path, part))
    python = os.environ.get('K485_KLIPPER_PYTHON')
    candidates = [python] if python else [path / '.venv/bin/python',
                                          path.parent / 'klippy-env/bin/python']
    for candidate in candidates:
        if os.path.exists(candidate):
            return path, str(candidate)
    raise RuntimeError("K485_KLIPPER is set, but no Python for it: set K485_KLIPPER_PYTHON "
                       "(tried %s)" % (', '.join(map(str, candidates)),))


class Api:
    """The API socket: requests, and the console's output as it comes."""

    def __init__(self, path):
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.connect(str(path))
        self._received = b''
        self._next = 1
        self.output = []
        self.ask('gcode/subscribe_output', {'response_template': {'console': 1}})

    def close(self):
        self._sock.close()

    def send(self, method, params=None):
        number = self._next
        self._next += 1
        text = json.dumps({'id': number, 'method': method, 'params': params or {}})
        try:
            self._sock.sendall(text.encode() + b'\x03')
        except OSError:
            raise HostDied("the host closed its API socket")
        return number

    def ask(self, method, params=None, patience=PATIENCE):
        return self.answer(self.send(method, params), patience)

    def answer(self, number, patience=PATIENCE):
        end = time.monotonic() + patience
        while True:
            while b'\x03' in self._received:
                text, self._received = self._received.split(b'\x03', 1)
                message = json.loads(text.decode())
                if 'console' in message:
                    self.output.extend(message['params']['response'].split('\n'))
                elif message.get('id') == number:
                    if 'error' in message:
                        raise GcodeError(message['error'].get('message', str(message['error'])))
                    return message['result']
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError("no answer in %.0f s" % (patience,))
            self._sock.settimeout(left)
            try:
                data = self._sock.recv(65536)
            except socket.timeout:
                continue
            except OSError:
                data = b''
            if not data:
                raise HostDied("the host closed its API socket")
            self._received += data


class Host:
    """What the stand-in and klippy have in common."""

    kind = None

    def __init__(self, folder, design='ours', sections=None, options=None, cython=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.design = design
        self.cython = cython            # the version that the module is compiled with, or None
        self.log_path = self.folder / 'host.log'
        self.socket_path = self.folder / 'api'
        self.config_path = self.folder / 'printer.cfg'
        self.port = free_port()
        self.process = None
        self._stopped = False           # by us
        self.api = None
        self.write_config(sections, options)
        self._lay_extras()

    def write_config(self, sections=None, options=None):
        hooks = {'stream_port': self.port}
        if self.design == 'ours':
            hooks['auto_start'] = 'False'
        hooks.update(options or {})
        lines = ['[mcu]', 'serial: %s' % (self.folder / 'mcu',),
                 '[printer]', 'kinematics: none', 'max_velocity: 300', 'max_accel: 3000',
                 '[gcode_macro BOX_CHECK_MATERIAL]', 'gcode:', '  MOTOR_MOVE BY=1',
                 '[motor_control]', sections or '', '[trace_hooks]']
        lines += ['%s: %s' % item for item in hooks.items()]
        self.config_path.write_text('\n'.join(lines) + '\n')

    def _lay_modules(self, extras):
        extras.mkdir(parents=True, exist_ok=True)
        (extras / '__init__.py').touch()
        for module in (HERE / 'modules').glob('*.py'):
            if self.cython and module.stem in self.config_path.read_text():
                self._lay_compiled(extras, module)
            else:
                shutil.copy(str(module), str(extras))
        if self.design == 'ours':
            shutil.copytree(str(EXTRA), str(extras / 'trace_hooks'),
                            ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(str(SEED), str(extras))

    def _lay_compiled(self, extras, module):
        """As the vendor's: a line of Python for klippy to find, the rest in a compiled module."""
        name = module.stem + '_wrapper'
        shutil.copy(str(compiled.build(self.python, self.cython, str(module), name)), str(extras))
        load = 'load_config_prefix' if 'def load_config_prefix' in module.read_text() \
            else 'load_config'
        (extras / module.name).write_text('from .%s import %s\n' % (name, load))

    def start(self):
        self._spawn()
        self.connect()
        return self

    def connect(self):
        """Waits until the API answers and the printer is ready, or has said why not."""
        def attempt():
            if self.process.poll() is not None:
                raise HostDied("the host ended with %s\n%s"
                               % (self.process.returncode, self.log()[-3000:]))
            try:
                self.api = Api(self.socket_path)
            except (OSError, HostDied):
                return False
            try:
                if self.info()['state'] != 'startup':
                    return True
            except (OSError, HostDied):
                pass
            self.api.close()
            return False
        wait_for(attempt, "the host to start\n" + self.log()[-3000:])

    def info(self):
        return self.api.ask('info')

    @property
    def state(self):
        return self.info()['state']

    def gcode(self, script, patience=PATIENCE):
        """Runs a script; gives the lines that were said meanwhile, without their slashes."""
        self.api.output = []
        self.api.ask('gcode/script', {'script': script}, patience)
        return [line[3:] if line.startswith('// ') else line for line in self.api.output]

    def text(self, script):
        return '\n'.join(self.gcode(script))

    def prove(self, **arguments):
        """Calls a method of a traced object, as another module of the host would."""
        words = ' '.join("%s='%s'" % (name.upper(), value if isinstance(value, str)
                                      else json.dumps(value))
                         for name, value in arguments.items())
        for line in self.gcode('PROVE ' + words):
            if line.startswith('PROVE: '):
                return json.loads(line[7:])
        raise AssertionError("no answer of PROVE: %s" % (self.api.output,))

    def call(self, method, *args, **more):
        return self.prove(object=more.pop('on', 'motor_control'), method=method, args=list(args),
                          **more)

    def restart(self, command='RESTART'):
        generation = self.log().count('Start printer')
        try:
            self.api.ask('gcode/script', {'script': command}, 20)
        except (HostDied, GcodeError):
            pass
        self.api.close()
        wait_for(lambda: self.log().count('Start printer') > generation, "a restart")
        self.connect()

    def log(self):
        try:
            return self.log_path.read_text(errors='replace')
        except FileNotFoundError:
            return ''

    def alive(self):
        return self.process.poll() is None

    def busy_share(self, seconds=1.0):
        """The share of the time in which the host's thread wants a processor, had it or not.

        That is near 1 for one that spins, however busy the machine is.
        """
        path = pathlib.Path('/proc/%d/task/%d/schedstat' % (self.process.pid, self.process.pid))

        def wanted():
            ran, waited, _ = map(int, path.read_text().split())
            return ran + waited
        before, start = wanted(), time.monotonic_ns()
        time.sleep(seconds)
        return (wanted() - before) / (time.monotonic_ns() - start)

    def spins(self):
        """Whether it wants a processor all the time, at three looks."""
        return all(self.busy_share(0.3) > 0.85 for _ in range(3))

    def cpu(self):
        stat = pathlib.Path('/proc/%d/stat' % (self.process.pid,)).read_text()
        fields = stat.rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def rss(self):
        """Resident memory, kB."""
        status = pathlib.Path('/proc/%d/status' % (self.process.pid,)).read_text()
        return int(status.split('VmRSS:')[1].split()[0])

    def descriptors(self):
        return len(os.listdir('/proc/%d/fd' % (self.process.pid,)))

    def stop(self):
        """Ends the host; gives its exit code."""
        if self.api is not None:
            self.api.close()
        if self.process is not None and self.process.poll() is None:
            self._stopped = True
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode if self.process is not None else None

    def verdict(self):
        """Ends the host and gives what there is to complain about, one a line."""
        raise NotImplementedError


class Standin(Host):
    kind = 'standin'
    python = sys.executable

    def _lay_extras(self):
        self._lay_modules(self.folder / 'python' / 'extras')

    def _spawn(self):
        environment = dict(os.environ, PYTHONPATH=str(TESTS), PYTHONDONTWRITEBYTECODE='1')
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'standin', str(self.config_path), '-a', str(self.socket_path),
             '-l', str(self.log_path), '--extras', str(self.folder / 'python')],
            env=environment, stderr=(self.folder / 'stderr').open('w'))

    def verdict(self):
        code = self.stop()
        complaints = [line.split('OFFENCE: ')[1] for line in self.log().splitlines()
                      if 'OFFENCE: ' in line]
        if code != 0:
            complaints.append("exit code %s" % (code,))
        return complaints + tracebacks(self.log())


class Klipper(Host):
    kind = 'klipper'

    def _lay_extras(self):
        checkout, self.python = klipper()
        self._elf = checkout / 'out' / 'klipper.elf'
        self._klippy = self.folder / 'klippy'
        shutil.copytree(str(checkout / 'klippy'), str(self._klippy), symlinks=True)
        self._lay_modules(self._klippy / 'extras')
        self._mcu = None

    def _spawn(self):
        self._mcu = subprocess.Popen([str(self._elf), '-I', str(self.folder / 'mcu')],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for((self.folder / 'mcu').exists, "the pty of the Linux-process MCU")
        self.process = subprocess.Popen(
            [self.python, str(self._klippy / 'klippy.py'), str(self.config_path),
             '-a', str(self.socket_path), '-l', str(self.log_path),
             '-I', str(self.folder / 'tty')],
            stdout=subprocess.DEVNULL, stderr=(self.folder / 'stderr').open('w'))

    def stop(self):
        code = super().stop()
        if self._mcu is not None:
            self._mcu.kill()
            self._mcu.wait()
            self._mcu = None
        return code

    def verdict(self):
        complaints = []
        if self._stopped:
            pass
        elif not self.alive():
            complaints.append("klippy ended with %s" % (self.process.returncode,))
        elif self.spins():
            complaints.append("klippy spins")
        self.stop()
        return complaints + tracebacks(self.log())


HOSTS = {'standin': Standin, 'klipper': Klipper}


def tracebacks(log):
    """The tracebacks in a log, and what says that something went badly wrong, one a line."""
    found = []
    lines = log.splitlines()
    for at, line in enumerate(lines):
        if line.startswith('Traceback ') and lines[at - 1].endswith('Write g-code response'):
            continue                # klippy's own: nobody reads its console's pty in a test
        if line.startswith('Traceback '):
            end = at + 1
            while end < len(lines) and lines[end].startswith(' '):
                end += 1
            found.append('traceback: ' + ' | '.join(lines[max(0, at - 1):end + 1])[-600:])
        elif 'Transition to shutdown' in line and 'M112' not in line:
            found.append(line)
    return found


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]
