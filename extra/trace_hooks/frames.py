"""Bus frames, told with the call that caused them.

A `serial_485` object has one method that sends a request and returns the reply. Its argument is the frame without
head and CRC (`ADDR LEN STATUS FUNC DATA`), its result the whole reply or None. Retries happen below it.
"""

# Method names that send what they are given. `add_send_data` and `remove_send_data` are bookkeeping.
SENDERS = ('cmd_send_data_with_response', 'cmd_send_data', 'send_data_with_response', 'send_data')
KEEPERS = ('add_send_data', 'remove_send_data')
POLLING = ('00a2', 'ff0a')
MOST = 512  # bytes of one frame that are told; a frame has at most 258


def is_serial(name):
    """Whether an object of this name is a bus."""
    return name.split(' ')[0].lower().startswith('serial_485')


def as_bytes(value):
    """The bytes of an argument that may be a frame, or None."""
    kind = type(value)
    if kind is bytes:
        return value[:MOST]
    if kind is bytearray:
        return bytes(value[:MOST])
    if kind in (list, tuple) and 0 < len(value) <= MOST:
        if all([type(item) is int and 0 <= item <= 255 for item in value]):
            return bytes(value)
    return None


class Polling:
    """Which requests are polling, and whether they are told."""

    def __init__(self, patterns=POLLING, told=True):
        self.patterns = tuple(bytes.fromhex(text) for text in patterns)
        self.told = told

    def matches(self, data):
        """Whether STATUS and FUNC of a request (its third and fourth byte) are those of polling."""
        return data[2:4] in self.patterns


class Wire:
    """What the wrapper of one function of a bus wants to know. Nothing here raises."""

    def __init__(self, method, polling):
        self.sends = method in SENDERS
        self.polling = polling
        self.objects = {}  # id -> the label's number under which its frames are told

    def request(self, args, kw):
        """The frame among the arguments, or None."""
        for value in args:
            data = as_bytes(value)
            if data is not None:
                return data
        for value in kw.values():
            data = as_bytes(value)
            if data is not None:
                return data
        return None

    def reply(self, result):
        """The reply in a result, or None."""
        return as_bytes(result) if result else None

    def hidden(self, args, kw):
        """Whether a call is polling that is not to be told."""
        if self.polling.told:
            return False
        data = self.request(args, kw)
        if data is None and args and type(args[0]) in (list, tuple) and args[0]:
            data = as_bytes(args[0][0])  # remove_send_data is given a list of what add_send_data was given
        return data is not None and self.polling.matches(data)
