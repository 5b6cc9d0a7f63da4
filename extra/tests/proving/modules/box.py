"""A host's module for boxes: nested calls that end on the bus."""

FUNCTIONS = {'version': 0x14, 'hardware': 0x15, 'state': 0x0a, 'mode': 0x0c, 'buffer': 0x05}


class BoxAction:
    """Asks one thing. It is no object of the printer's."""

    def __init__(self, serial):
        self.serial = serial

    def ask(self, address, function, data=b'', timeout=2.):
        request = bytes([address, 3 + len(data), 0xff, function]) + data
        return self.serial.cmd_send_data_with_response(request, timeout)


class MultiColorMeterialBoxWrapper:
    def __init__(self, config):
        self.printer = config.get_printer()
        self.reactor = self.printer.get_reactor()
        self.boxes = config.getintlist('boxes', (1, 2))
        self.serial = self.printer.load_object(config, 'serial_485 serial485')
        self.action = BoxAction(self.serial)
        self.gcode = self.printer.lookup_object('gcode')
        self.gcode.register_command('BOX_REPORT', self.cmd_BOX_REPORT, desc="asks all boxes")
        self.gcode.register_command('BOX_ASK', self.cmd_BOX_ASK, desc="asks one box")
        self.gcode.register_command('BOX_POLL', self.cmd_BOX_POLL, desc="checks who is there")
        self.polls = 0

    def get_status(self, eventtime):
        return {'polls': self.polls}

    def communication_state(self, address):
        """Whether a box is there, the way the vendor's host polls."""
        request = bytes([address, 3, 0x00, 0xa2])
        self.serial.add_send_data(request, 0.1, '#addr_%d' % (address,), '#cmd_162', False)
        reply = self.serial.cmd_send_data_with_response(request, 0.1, False)
        self.serial.remove_send_data([request, 0.1, '#addr_%d' % (address,), '#cmd_162', False])
        return reply is not None

    def get_sensors(self, address):
        return [self.action.ask(address, 0x08, bytes([which])) for which in (1, 0)]

    def get_box(self, address):
        if not self.communication_state(address):
            return None
        replies = {name: self.action.ask(address, function)
                   for name, function in FUNCTIONS.items()}
        replies['sensors'] = self.get_sensors(address)
        return replies

    def cmd_BOX_REPORT(self, gcmd):
        for address in self.boxes:
            replies = self.get_box(address)
            version = replies['version'] if replies else None
            gcmd.respond_info("box %d: %s" % (
                address, version[5:-1].decode('ascii') if version else 'absent'))

    def cmd_BOX_POLL(self, gcmd):
        for _ in range(gcmd.get_int('N', 1)):
            for address in self.boxes:
                self.polls += self.communication_state(address)

    def cmd_BOX_ASK(self, gcmd):
        reply = self.action.ask(gcmd.get_int('ADDR'), int(gcmd.get('FUNC'), 16),
                                bytes.fromhex(gcmd.get('DATA', '')), gcmd.get_float('TIMEOUT', 2.))
        gcmd.respond_info("reply: %s" % (reply.hex() if reply else None,))


def load_config(config):
    return MultiColorMeterialBoxWrapper(config)
