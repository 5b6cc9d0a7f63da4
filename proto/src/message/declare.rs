//! The macro that declares functions, each written once.
//!
//! ```text
//! functions! {
//!     class Box, requests with REQUEST;
//!
//!     /// Feeds a slot's filament to the toolhead, one stage a call.
//!     0x10 EXTRUDE_PROCESS = extrude_process;
//!     host 15_000 ms, 5 sends;
//!     effect Clear if stage = 5, Motion;
//!     request {
//!         Stage { slot: SlotSet; Wire  stage: Stage; Wire  param: u8 = "0", "mm"; Wire }
//!     }
//!     reply {
//!         ToHub if stage = 0 status Any { state: BoxState; Wire }
//!         FeedPoll if stage = 5 status Any { odometer: F32Be, "mm"; Wire }
//!     }
//! }
//! ```
//!
//! A form is a name, the conditions on the request's fields that choose it (`if`), the STATUS it
//! goes with (`status`; `Ok` when left out) and its fields. A field is a name, a type
//! ([`FieldType`](super::FieldType)), a default for senders, a unit, and how well it is known. An
//! error reply without data needs no form.
//!
//! `effect` says what a request does ([`Effect`](crate::effect::Effect)), by the values of its
//! fields where that matters; the first that fits counts, and where none does it is `Firmware`.
//!
//! Out of each function come a module with `FUNCTION`, `Request` and `Reply` (one variant a form),
//! and an entry in the file's table `FUNCTIONS`.

use super::{FieldType, Misfit, Width};

/// The field at the front of `rest`, whose bytes the table face has accepted.
pub(crate) fn take<T: FieldType>(
    rest: &mut &[u8],
    form: &'static str,
    field: &'static str,
) -> Result<T, Misfit> {
    let width = match T::KIND.width {
        Width::Fixed(width) => width.min(rest.len()),
        Width::Rest => rest.len(),
    };
    let (bytes, after) = rest.split_at(width);
    *rest = after;
    T::from_wire(bytes).ok_or(Misfit::BadField { form, field })
}

macro_rules! functions {
    (class $Class:ident, requests with $STATUS:ident; $($(#[doc = $doc:literal])+
        $code:literal $NAME:ident = $module:ident;
        host $timeout:literal ms, $sends:literal sends;
        effect $($Effect:ident $(if $arg:ident = $is:literal)?),+;
        $(unknown $unknown:literal;)?
        request { $($request:tt)* }
        reply { $($reply:tt)* }
    )+) => {
        /// The functions of this class, by code.
        pub static FUNCTIONS: &[&$crate::message::Function] = &[$(&$module::FUNCTION),+];

        /// The typed faces, for the test that holds them equal to the table.
        #[cfg(test)]
        pub(crate) static TYPED: &[$crate::message::tests::Typed] = &[
            $($crate::message::tests::Typed {
                function: &$module::FUNCTION,
                request: |addr, data| {
                    $module::Request::parse(addr, data).map(|m| (m.form(), m.to_vec()))
                },
                reply: |addr, status, data, request| {
                    let request = request.and_then(|r| $module::Request::parse(addr, r).ok());
                    $module::Reply::parse(addr, status, data, request.as_ref())
                        .map(|m| (m.form(), m.to_vec()))
                },
            }),+
        ];

        $($(#[doc = $doc])+
        pub mod $module {
            #[allow(unused_imports)]
            use super::*;

            /// The declaration.
            pub static FUNCTION: $crate::message::Function = $crate::message::Function {
                code: $code,
                name: stringify!($NAME),
                class: $crate::address::Class::$Class,
                doc: concat!($($doc),+),
                request_status: $crate::status::Status::$STATUS,
                request: $crate::message::declare::forms!($($request)*),
                reply: $crate::message::declare::forms!($($reply)*),
                timeout_ms: $timeout,
                sends: $sends,
                effects: &[$($crate::effect::EffectRule {
                    when: &[$((stringify!($arg), $is))?],
                    effect: $crate::effect::Effect::$Effect,
                }),+],
                unknown: concat!($($unknown)?),
            };

            $crate::message::declare::typed!(Request, $($request)*);
            $crate::message::declare::typed!(Reply, $($reply)*);

            impl Request {
                /// Reads a request's DATA.
                ///
                /// # Errors
                /// What does not fit.
                pub fn parse(
                    addr: $crate::address::Address,
                    data: &[u8],
                ) -> Result<Self, $crate::message::Misfit> {
                    Self::build(FUNCTION.decode_request(addr, data), data)
                }
            }

            impl Reply {
                /// Reads a reply's DATA, under its STATUS and its request.
                ///
                /// # Errors
                /// What does not fit. An error reply without data is `Misfit::NoForm`: its STATUS
                /// says it all.
                pub fn parse(
                    addr: $crate::address::Address,
                    status: $crate::status::Status,
                    data: &[u8],
                    request: Option<&Request>,
                ) -> Result<Self, $crate::message::Misfit> {
                    let asked = request.map(Request::to_vec);
                    let message = FUNCTION.decode_reply(addr, status, data, asked.as_deref());
                    Self::build(message, data)
                }
            }
        })+
    };
}

/// The table face of some forms.
macro_rules! forms {
    ($($Form:ident $(if $($key:ident = $value:literal),+)? $(status $Rule:ident $(($st:literal))?)? {
        $($field:ident : $Type:ty $(= $default:literal)? $(, $unit:literal)? ; $Evidence:ident)*
    })*) => {
        &[$($crate::message::Form {
            name: stringify!($Form),
            when: &[$($((stringify!($key), $value)),+)?],
            status: $crate::message::declare::rule!($($Rule $(($st))?)?),
            fields: &[$($crate::message::Field {
                name: stringify!($field),
                kind: <$Type as $crate::message::FieldType>::KIND,
                codes: <$Type as $crate::message::FieldType>::CODES,
                unit: concat!($($unit)?),
                default: concat!($($default)?),
                evidence: $crate::evidence::Evidence::$Evidence,
            }),*],
        }),*]
    };
}

macro_rules! rule {
    () => { $crate::message::StatusRule::Ok };
    ($Rule:ident $(($st:literal))?) => { $crate::message::StatusRule::$Rule $(($st))? };
}

/// The typed face of some forms: an enum with one variant a form.
macro_rules! typed {
    ($Enum:ident, $($Form:ident $(if $($key:ident = $value:literal),+)?
        $(status $Rule:ident $(($st:literal))?)? {
        $($field:ident : $Type:ty $(= $default:literal)? $(, $unit:literal)? ; $Evidence:ident)*
    })*) => {
        #[doc = concat!(stringify!($Enum), "s of this function, one variant a layout.")]
        #[derive(Debug, Clone, PartialEq)]
        pub enum $Enum {
            $(#[doc = concat!("The layout `", stringify!($Form), "`.")]
            $Form {
                $(#[doc = concat!("`", stringify!($field), "`" $(, " in ", $unit)?)]
                $field: $Type,)*
            },)*
        }

        impl $Enum {
            /// The DATA bytes.
            #[allow(unused_mut)]
            #[must_use]
            pub fn to_vec(&self) -> alloc::vec::Vec<u8> {
                let mut out = alloc::vec::Vec::new();
                match self {
                    $($Enum::$Form { $($field),* } => {
                        $($crate::message::FieldType::to_wire($field, &mut out);)*
                    })*
                }
                out
            }

            /// The layout's name, as in the table.
            #[must_use]
            pub fn form(&self) -> &'static str {
                match self {
                    $($Enum::$Form { .. } => stringify!($Form),)*
                }
            }

            /// The typed form of what the table face has read from `data`.
            #[allow(unused_mut, unused_variables, unused_assignments)]
            fn build(
                message: $crate::message::Message<'_>,
                data: &[u8],
            ) -> Result<Self, $crate::message::Misfit> {
                if let Some(misfit) = message.misfit {
                    return Err(misfit);
                }
                let mut rest = data;
                $(if message.form == Some(stringify!($Form)) {
                    return Ok($Enum::$Form { $($field: $crate::message::declare::take::<$Type>(
                        &mut rest, stringify!($Form), stringify!($field),
                    )?,)* });
                })*
                Err($crate::message::Misfit::NoForm)
            }
        }
    };
}

pub(crate) use {forms, functions, rule, typed};
