use super::*;
use k485_proto::address::Address;
use k485_proto::dialect::K2;
use k485_proto::exchange::Pairer;
use k485_proto::frame::{Frame as Wire, Hex};
use k485_proto::status::Status;
use k485_sniffer::format::hex::read_hex_text;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

const S: i64 = Time::SECOND;

/// A screen, and what is written on it.
struct Test {
    screen: Screen,
    terminal: Terminal<TestBackend>,
    now: Time,
}

impl Test {
    fn new(width: u16, height: u16, color: bool) -> Test {
        let options = Options {
            title: "/dev/ttyUSB0".to_owned(),
            several: false,
            color,
            filter: None,
            dialect: &K2,
        };
        Test {
            screen: Screen::new(Changes::new(), options),
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            now: Time(0),
        }
    }

    /// An exchange at `now`.
    fn ask(&mut self, addr: u8, func: u8, data: &[u8], reply: &[u8]) {
        let hex = |ms: i64, status, data: &[u8]| {
            let frame = Wire::to_vec(Address(addr), Status(status), func, data).unwrap();
            let ms = self.now.0 / Time::MILLISECOND + ms;
            format!("({}.{:03}) {}\n", ms / 1000, ms % 1000, Hex(&frame))
        };
        let text = hex(0, 0xff, data) + &hex(2, 0, reply);
        let mut pairer = Pairer::new();
        read_hex_text("test", &text).for_each(|record| pairer.push(record.unwrap()));
        while let Some(seen) = pairer.pull() {
            self.screen.feed(&seen, self.now);
        }
    }

    fn state(&mut self, addr: u8, temperature: u8) {
        self.ask(addr, 0x0a, &[], &[temperature, 40, 0, 0]);
    }

    fn press(&mut self, code: KeyCode) -> Action {
        self.screen.event(&Event::Key(KeyEvent::from(code)), self.now)
    }

    fn write(&mut self, text: &str) {
        for c in text.chars() {
            self.press(KeyCode::Char(c));
        }
    }

    fn buffer(&mut self) -> Buffer {
        let (screen, now) = (&mut self.screen, self.now);
        self.terminal.draw(|frame| screen.draw(frame, now)).unwrap();
        self.terminal.backend().buffer().clone()
    }

    /// The lines, without what is blank at their ends.
    fn lines(&mut self) -> Vec<String> {
        let buffer = self.buffer();
        let width = usize::from(buffer.area.width);
        let symbols: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
        symbols.chunks(width).map(|line| line.concat().trim_end().to_owned()).collect()
    }

    /// The style where a text begins.
    fn style(&mut self, text: &str) -> Style {
        let at = self
            .lines()
            .iter()
            .enumerate()
            .find_map(|(y, line)| Some((line[..line.find(text)?].chars().count(), y)));
        let (x, y) = at.unwrap_or_else(|| panic!("{text} is not shown"));
        self.buffer()[(u16::try_from(x).unwrap(), u16::try_from(y).unwrap())].style()
    }
}

#[test]
fn rows_at_every_width() {
    let mut test = Test::new(80, 8, false);
    for second in 0..3 {
        test.now = Time(second * S);
        test.state(1, 25);
        test.state(2, u8::try_from(20 + second).unwrap());
    }
    let lines = test.lines();
    let bar = " /dev/ttyUSB0 | 2 rows | 12 frames | no noise | by device";
    assert_eq!(
        lines,
        [
            bar,
            "   COUNT   PERIOD  LATENCY  DEVICE FUNCTION -> what came back",
            "       3   1.00 s   2.0 ms  box1   GET_BOX_STATE -> OK temperature=25 C",
            "                              humidity=40 % ran=none state=idle",
            "       3   1.00 s   2.0 ms  box2   GET_BOX_STATE -> OK temperature=22 C",
            "                              humidity=40 % ran=none state=idle",
            "",
            " q quit  n notch  N clear  space pause  s sort  / filter  ? help",
        ]
    );
    test.terminal.backend_mut().resize(120, 8);
    let line = "       3   1.00 s   2.0 ms    0.0 s  box2   GET_BOX_STATE -> OK temperature=22 C \
                humidity=40 % ran=none state=idle";
    assert_eq!(test.lines()[3], line);
    test.terminal.backend_mut().resize(40, 12);
    let lines = test.lines();
    assert_eq!(lines[2], "       3  box1   GET_BOX_STATE -> OK");
    assert_eq!(lines[3], "            temperature=25 C");
    // However small it is, and whatever is open.
    for (width, height) in [(1, 1), (3, 2), (10, 3), (25, 24), (300, 1)] {
        test.terminal.backend_mut().resize(width, height);
        test.press(KeyCode::Char('?'));
        test.lines();
        test.press(KeyCode::Esc);
        test.write("/addr==box1");
        test.lines();
        test.press(KeyCode::Esc);
        test.press(KeyCode::End);
        test.lines();
    }
}

#[test]
fn what_changes_is_highlighted_for_a_while() {
    for color in [true, false] {
        let mut test = Test::new(120, 8, color);
        test.state(1, 25);
        test.now = Time(3 * S);
        test.state(1, 26);
        let is_hot = |style: Style| match color {
            true => style.bg == Some(Color::Yellow),
            false => style.add_modifier.contains(Modifier::REVERSED),
        };
        assert!(is_hot(test.style("temperature=26")));
        assert!(!is_hot(test.style("humidity")) && !is_hot(test.style("GET_BOX_STATE")));
        test.now = Time(3 * S + S);
        assert!(is_hot(test.style("temperature=26")));
        test.now = Time(5 * S);
        assert!(!is_hot(test.style("temperature=26")));
        // A notched field is not highlighted again, until the notches are taken away.
        test.now = Time(6 * S);
        test.state(1, 27);
        test.press(KeyCode::Char('n'));
        assert_eq!(test.lines()[7], " 1 field notched");
        test.state(1, 28);
        assert!(!is_hot(test.style("temperature=28")));
        test.press(KeyCode::Char('N'));
        test.state(1, 29);
        assert!(is_hot(test.style("temperature=29")));
        assert_eq!(test.lines()[7], " 1 notch taken away");
        if !color {
            let plain = |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg);
            let colors = test.buffer().content.iter().map(plain).collect::<Vec<_>>();
            assert!(colors.iter().all(|pair| *pair == (Color::Reset, Color::Reset)));
        }
    }
}

#[test]
fn standing_still() {
    let mut test = Test::new(120, 8, true);
    test.state(1, 25);
    test.now = Time(S);
    test.state(1, 26);
    test.press(KeyCode::Char(' '));
    test.now = Time(9 * S);
    test.state(1, 27);
    test.state(2, 20);
    let lines = test.lines();
    assert!(lines[0].contains("STANDING STILL"), "{}", lines[0]);
    assert!(lines[2].contains("temperature=26 C") && lines[3].is_empty(), "{lines:?}");
    // What is highlighted there can be notched.
    test.press(KeyCode::Char('n'));
    test.press(KeyCode::Char(' '));
    let lines = test.lines();
    assert!(lines[2].contains("temperature=27 C") && lines[3].contains("box2"), "{lines:?}");
    assert!(lines[0].contains("1 notched"), "{}", lines[0]);
}

#[test]
fn a_filter_is_written() {
    let mut test = Test::new(120, 8, true);
    test.state(1, 25);
    test.state(2, 25);
    test.write("/addr=box2");
    assert_eq!(test.lines()[7], " /addr=box2");
    // What is wrong is said, and can be mended.
    test.press(KeyCode::Enter);
    assert!(test.lines()[7].starts_with(" /addr=box2   column 5: "), "{}", test.lines()[7]);
    for _ in 0.."=box2".len() {
        test.press(KeyCode::Backspace);
    }
    test.write("==box2");
    test.press(KeyCode::Enter);
    let lines = test.lines();
    assert!(lines[0].contains("1 of 2 rows") && lines[2].contains("box2"), "{lines:?}");
    assert!(lines[7].ends_with("filter: addr==box2"), "{}", lines[7]);
    // Keys are letters while it is written; Esc leaves it as it was; with none everything is shown.
    test.write("/ && noise q");
    test.press(KeyCode::Esc);
    assert!(test.lines()[0].contains("1 of 2 rows"));
    test.write("/");
    test.screen
        .event(&Event::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)), test.now);
    test.press(KeyCode::Enter);
    assert!(test.lines()[0].contains("| 2 rows"));
}

#[test]
fn scrolling_and_ending() {
    let mut test = Test::new(120, 8, true);
    for at in 0..20 {
        test.ask(1, 0x60, &[at], &[1, 2]);
    }
    assert!(test.lines()[2].contains("data=00"));
    test.press(KeyCode::PageDown);
    assert!(test.lines()[2].contains("data=05"));
    for _ in 0..100 {
        test.press(KeyCode::Down);
    }
    assert!(test.lines()[6].contains("data=13"));
    test.press(KeyCode::Up);
    assert!(test.lines()[6].contains("data=12"));
    test.press(KeyCode::End);
    assert!(test.lines()[6].contains("data=13 -> OK data=0102"));
    test.press(KeyCode::Home);
    assert!(test.lines()[2].contains("data=00"));
    test.press(KeyCode::Char('s'));
    assert!(test.lines()[0].ends_with("by changed"));
    // The first key only closes the help.
    test.press(KeyCode::Char('?'));
    assert!(test.lines().concat().contains("any key closes this"));
    assert_eq!(test.press(KeyCode::Char('s')), Action::Continue);
    assert!(test.lines()[0].ends_with("by changed"));
    assert_eq!(test.press(KeyCode::Char('q')), Action::Quit);
    let end = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    test.write("/noise");
    assert_eq!(test.screen.event(&end, test.now), Action::Quit);
}

/// A long value is cut, a long row ends in dots; nothing runs out of the screen.
#[test]
fn long_rows() {
    let mut test = Test::new(80, 20, true);
    test.ask(1, 0x60, &[1], &[0x5a; 252]);
    let lines = test.lines();
    assert!(lines[2].starts_with("       1            2.0 ms  box1   function 0x60 data=01 -> OK"));
    assert_eq!(lines.concat().matches("5a").count(), 252);
    test.terminal.backend_mut().resize(62, 20);
    let lines = test.lines();
    assert!(lines[13].ends_with('…') && lines[14].is_empty(), "{lines:?}");
}
