//! The terminal settings: which of them can speak, and the line's format.

use rustix::io;
use rustix::termios::{ControlModes, InputModes, LocalModes, SpecialCodeIndex, Termios};

/// Input settings that answer by themselves (XOFF of a full buffer, a bell), or that change, drop
/// or hold back what is heard.
const INPUT_OFF: InputModes = InputModes::IXOFF
    .union(InputModes::IXANY)
    .union(InputModes::IMAXBEL)
    .union(InputModes::INPCK)
    .union(InputModes::IGNPAR);

/// Turns off all that makes a terminal speak by itself or change what it hears.
pub(crate) fn silence(termios: &mut Termios) {
    // Raw mode as defined leaves out IXOFF and CRTSCTS, with which a full buffer sends an XOFF
    // byte or moves RTS, and IMAXBEL, with which it sends a bell.
    termios.make_raw();
    termios.input_modes -= INPUT_OFF;
    termios.control_modes -= ControlModes::CRTSCTS;
    // A read gives what is there, and end of file only at the end.
    termios.special_codes[SpecialCodeIndex::VMIN] = 1;
    termios.special_codes[SpecialCodeIndex::VTIME] = 0;
}

/// Whether nothing is left of what [`silence`] turns off.
pub(crate) fn is_silent(termios: &Termios) -> bool {
    let mut silent = termios.clone();
    silence(&mut silent);
    same_modes(termios, &silent)
}

/// Whether what the terminal hears is sent back.
pub(crate) fn echoes(termios: &Termios) -> bool {
    termios.local_modes.intersects(LocalModes::ECHO | LocalModes::ECHONL)
}

/// The line's format: `baud`, 8 data bits, no parity, one stop bit; modem lines are not looked at,
/// and closing leaves DTR and RTS as they are.
pub(crate) fn set_line(termios: &mut Termios, baud: u32) -> io::Result<()> {
    termios.control_modes -= ControlModes::CSIZE
        | ControlModes::PARENB
        | ControlModes::CSTOPB
        | ControlModes::HUPCL
        | ControlModes::CRTSCTS;
    termios.control_modes |= ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL;
    termios.set_speed(baud)
}

/// Whether two settings agree in all that this module sets, the speed left aside.
pub(crate) fn same_modes(a: &Termios, b: &Termios) -> bool {
    let code = |t: &Termios, i| t.special_codes[i];
    a.input_modes == b.input_modes
        && a.output_modes == b.output_modes
        && a.local_modes == b.local_modes
        && without_speed(a.control_modes) == without_speed(b.control_modes)
        && code(a, SpecialCodeIndex::VMIN) == code(b, SpecialCodeIndex::VMIN)
        && code(a, SpecialCodeIndex::VTIME) == code(b, SpecialCodeIndex::VTIME)
}

/// Linux keeps its code for the speed among the control modes; the driver may choose another code
/// for the same speed.
#[cfg(target_os = "linux")]
fn without_speed(modes: ControlModes) -> ControlModes {
    let speed = libc::CBAUD | libc::CIBAUD;
    modes - ControlModes::from_bits_retain(speed)
}

#[cfg(not(target_os = "linux"))]
fn without_speed(modes: ControlModes) -> ControlModes {
    modes
}

/// Whether a line at `got` baud is understood at `asked`: within 2.5 %, since a byte of ten bits is
/// sampled in the middle of its last bit and both ends are off.
pub(crate) fn near(asked: u32, got: u32) -> bool {
    u64::from(asked.abs_diff(got)) * 40 <= u64::from(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_near_within_two_and_a_half_per_cent() {
        assert!(near(230_400, 230_400));
        assert!(near(230_400, 230_769));
        assert!(near(230_400, 224_640));
        assert!(!near(230_400, 224_639));
        assert!(near(230_400, 236_160));
        assert!(!near(230_400, 236_161));
        assert!(!near(230_400, 9_600));
        assert!(!near(u32::MAX, 0));
    }
}
