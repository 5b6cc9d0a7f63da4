//! One declaration a table of a scene: its fields, what they may hold and what they mean. Reading,
//! writing, the schema and the page's tables are made of it.

mod value;

use k485_proto::strict::{Errors, Section};
use toml::Spanned;
use toml::de::DeValue;

pub use value::{Length, List, Parsed};
pub(crate) use value::{Word, quoted};

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub doc: &'static [&'static str],
    /// What it holds.
    pub shape: fn() -> Shape,
    /// What holds where it is left out, as it would be written; `None` for nothing.
    pub default: fn() -> Option<String>,
    /// The unit, empty for none.
    pub unit: &'static str,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A whole number, from the first to the second.
    Integer(i64, i64),
    /// A number, from the first to the second.
    Number(f64, f64),
    /// True or false.
    Boolean,
    /// One line of text; the words say what is in it.
    Text(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A length of time with its unit.
    Length,
    /// So many of these, from the first to the second.
    List(fn() -> Shape, usize, usize),
    /// A table.
    Table(fn() -> &'static Info),
    /// A list of tables.
    Tables(fn() -> &'static Info),
    /// The events, whose keys depend on what is done.
    Events,
    /// The faults, whose keys depend on their kind.
    Faults,
}

/// A table as it was declared.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// What the table is.
    pub doc: &'static [&'static str],
    /// Its keys, in their order.
    pub keys: &'static [Key],
}

/// The range of a number.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

/// No range but the type's.
pub const ANY: Limits = Limits { least: f64::NEG_INFINITY, most: f64::INFINITY };

/// What a key can be read as.
pub trait Value: Sized {
    /// What is to be written.
    fn shape(limits: Limits) -> Shape;
    /// Reads it; `what` names it in errors.
    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        limits: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self>;
    /// As it is written; `None` where it is left out.
    fn write(&self) -> Option<String>;
}

/// What the macro `table!` declares.
pub trait Table: Default + PartialEq {
    /// Its declaration.
    fn info() -> &'static Info;
    /// Reads its keys; what is left out, or wrong and told, is the default.
    fn read_from(section: &Section<'_>, errors: &mut Errors<'_>) -> Self;
    /// The keys that do not hold their default, with what they hold.
    fn rows(&self) -> Vec<(&'static str, String)>;
    /// Takes one key's value over from another table.
    fn take(&mut self, from: &Self, key: &str);
}

/// Declares a table: the struct, its default, and what [`Table`] and [`Value`] are for.
///
/// A field is `name: type, in LEAST..=MOST, "unit" = default;`, where range and unit may be left
/// out, and `name as "key"` where the key is no name in Rust.
macro_rules! table {
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@limits) => { $crate::table::ANY };
    (@limits $least:literal $most:literal) => {
        $crate::table::Limits { least: $least as f64, most: $most as f64 }
    };
    (
        $(#[doc = $doc:literal])+
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])+
                $field:ident $(as $key:literal)? : $type:ty
                    $(, in $least:literal ..= $most:literal)? $(, $unit:literal)? = $default:expr;
            )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $($(#[doc = $field_doc])+ pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }

        impl $crate::table::Table for $name {
            fn info() -> &'static $crate::table::Info {
                use $crate::table::{Info, Key, Value};
                static INFO: Info = Info {
                    doc: &[$($doc),+],
                    keys: &[$(Key {
                        name: table!(@key $field $($key)?),
                        doc: &[$($field_doc),+],
                        shape: || <$type as Value>::shape(table!(@limits $($least $most)?)),
                        default: || <$type as Value>::write(&$name::default().$field),
                        unit: concat!($($unit)?),
                    },)*],
                };
                &INFO
            }

            fn read_from(
                section: &k485_proto::strict::Section<'_>,
                errors: &mut k485_proto::strict::Errors<'_>,
            ) -> Self {
                use $crate::table::Value;
                let mut table = Self::default();
                $(
                    let key = table!(@key $field $($key)?);
                    if let Some(value) = section.get(key) {
                        let limits = table!(@limits $($least $most)?);
                        if let Some(value) = <$type as Value>::read(key, value, limits, errors) {
                            table.$field = value;
                        }
                    }
                )*
                table
            }

            fn rows(&self) -> Vec<(&'static str, String)> {
                use $crate::table::Value;
                let mut rows = Vec::new();
                let default = Self::default();
                $(
                    if self.$field != default.$field
                        && let Some(text) = <$type as Value>::write(&self.$field)
                    {
                        rows.push((table!(@key $field $($key)?), text));
                    }
                )*
                rows
            }

            fn take(&mut self, from: &Self, key: &str) {
                $(
                    if key == table!(@key $field $($key)?) {
                        self.$field = from.$field.clone();
                    }
                )*
            }
        }

        impl $crate::table::Value for $name {
            fn shape(_: $crate::table::Limits) -> $crate::table::Shape {
                $crate::table::Shape::Table(<$name as $crate::table::Table>::info)
            }

            fn read(
                what: &str,
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                _: $crate::table::Limits,
                errors: &mut k485_proto::strict::Errors<'_>,
            ) -> Option<Self> {
                $crate::table::read_table(what, value, errors)
            }

            fn write(&self) -> Option<String> {
                $crate::table::write_inline(self)
            }
        }
    };
}

pub(crate) use table;

/// The names of a table's keys.
pub(crate) fn names(info: &Info) -> Vec<&'static str> {
    info.keys.iter().map(|key| key.name).collect()
}

/// Reads a value as a table.
pub(crate) fn read_table<T: Table>(
    what: &str,
    value: &Spanned<DeValue<'_>>,
    errors: &mut Errors<'_>,
) -> Option<T> {
    let Some(table) = value.get_ref().as_table() else {
        let found = k485_proto::strict::kind(value);
        errors.add(value.span(), format!("{what} is a table: write [{what}], not {found}"));
        return None;
    };
    let section = Section::new(table, value.span(), &names(T::info()), errors);
    Some(T::read_from(&section, errors))
}

/// A table on one line; `None` where nothing is left to be written.
pub(crate) fn write_inline<T: Table>(table: &T) -> Option<String> {
    let rows: Vec<String> =
        table.rows().into_iter().map(|(key, text)| format!("{key} = {text}")).collect();
    (!rows.is_empty()).then(|| format!("{{ {} }}", rows.join(", ")))
}

/// A table of which only the keys that are given count; the others are somebody else's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Given<T> {
    /// The table.
    pub table: T,
    /// Which keys were given.
    pub keys: Vec<&'static str>,
}

impl<T: Table + Clone> Given<T> {
    /// These keys' values, and for the others those of `base`.
    #[must_use]
    pub fn over(&self, base: &T) -> T {
        let mut table = base.clone();
        for key in &self.keys {
            table.take(&self.table, key);
        }
        table
    }

    /// Gives one key the value that `change` sets.
    pub fn set(&mut self, key: &'static str, change: impl FnOnce(&mut T)) {
        change(&mut self.table);
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }
}

impl<T: Table> Value for Given<T> {
    fn shape(_: Limits) -> Shape {
        Shape::Table(T::info)
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        _: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        let table = read_table(what, value, errors)?;
        let given = value.get_ref().as_table();
        let is_given = |key: &&'static str| given.is_some_and(|table| table.contains_key(*key));
        Some(Given { table, keys: names(T::info()).into_iter().filter(is_given).collect() })
    }

    fn write(&self) -> Option<String> {
        write_inline(&self.table)
    }
}

/// A list of tables, each read by `read`. All or none: their places in the list are those in the file.
pub(crate) fn tables_of<T>(
    what: &str,
    value: &Spanned<DeValue<'_>>,
    errors: &mut Errors<'_>,
    read: impl Fn(&Spanned<DeValue<'_>>, &mut Errors<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(list) = value.get_ref().as_array() else {
        errors.add(value.span(), format!("{what} is a list of tables: write [[{what}]]"));
        return None;
    };
    // Each is read, so that every mistake is told at once.
    let tables: Vec<_> = list.iter().map(|item| read(item, errors)).collect();
    tables.into_iter().collect()
}

/// Lists of tables.
impl<T: Table> Value for Vec<T> {
    fn shape(_: Limits) -> Shape {
        Shape::Tables(T::info)
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        _: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        tables_of(what, value, errors, |item, errors| read_table(what, item, errors))
    }

    /// Lists of tables are written as sections, by whoever writes a whole scene.
    fn write(&self) -> Option<String> {
        None
    }
}

/// A table that is there or not.
impl<T: Value> Value for Option<T> {
    fn shape(limits: Limits) -> Shape {
        T::shape(limits)
    }

    fn read(
        what: &str,
        value: &Spanned<DeValue<'_>>,
        limits: Limits,
        errors: &mut Errors<'_>,
    ) -> Option<Self> {
        T::read(what, value, limits, errors).map(Some)
    }

    fn write(&self) -> Option<String> {
        self.as_ref().and_then(|value| value.write().or_else(|| Some("{}".to_owned())))
    }
}
