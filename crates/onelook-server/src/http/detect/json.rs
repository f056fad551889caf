//! Reads a JSON body of `/v1/detect` within bounds: what is counted is counted while it is read, so that
//! no list of a few megabytes becomes gigabytes of values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::problem::Problem;

/// Most members of the object besides the images.
const MAX_PARAMETERS: usize = 32;

/// Most values of a list in a parameter.
const MAX_ITEMS: usize = 4096;

/// Longest text in a parameter, in bytes.
const MAX_TEXT: usize = 4096;

/// The images, and all other members as parameters.
pub struct JsonBody<'a> {
    /// `image` and `images`, in the order of the body.
    pub images: Vec<JsonImage<'a>>,
    /// The other members.
    pub parameters: Vec<(String, Value)>,
}

/// An image: its bytes or its URL.
#[derive(Debug, Default, PartialEq)]
pub struct JsonImage<'a> {
    /// Its name in the response.
    pub name: Option<Cow<'a, str>>,
    /// The encoded image in base64.
    pub base64: Option<Cow<'a, str>>,
    /// Where it can be fetched.
    pub url: Option<Cow<'a, str>>,
}

/// Reads a body of at most `max_images` images.
pub fn read(body: &[u8], max_images: usize) -> Result<JsonBody<'_>, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Body { max_images }.deserialize(&mut json);
    let read = read.and_then(|body| json.end().map(|()| body));
    read.map_err(|error| {
        let reason: String = error.to_string().chars().take(300).collect();
        Problem::bad_request(format!("the JSON in the body is not as expected: {reason}"))
    })
}

struct Body {
    max_images: usize,
}

impl<'de> DeserializeSeed<'de> for Body {
    type Value = JsonBody<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<JsonBody<'de>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body {
    type Value = JsonBody<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an image")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonBody<'de>, A::Error> {
        let mut body = JsonBody {
            images: Vec::new(),
            parameters: Vec::new(),
        };
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "image" => body.images.extend(map.next_value::<Option<JsonImage>>()?),
                "images" => map.next_value_seed(Images {
                    images: &mut body.images,
                    max: self.max_images,
                })?,
                _ if body.parameters.len() == MAX_PARAMETERS => {
                    return Err(A::Error::custom(format!(
                        "more than {MAX_PARAMETERS} parameters"
                    )));
                }
                _ => {
                    let value = map.next_value_seed(Parameter)?;
                    let name = name.chars().take(MAX_TEXT).collect();
                    body.parameters.push((name, value));
                }
            }
            if body.images.len() > self.max_images {
                return Err(too_many(self.max_images));
            }
        }
        Ok(body)
    }
}

fn too_many<E: Error>(max: usize) -> E {
    E::custom(format!(
        "more than {max} images: send fewer, or start the server with a larger --max-images"
    ))
}

struct Images<'s, 'de> {
    images: &'s mut Vec<JsonImage<'de>>,
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Images<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Images<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of images")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(image) = list.next_element()? {
            if self.images.len() == self.max {
                return Err(too_many(self.max));
            }
            self.images.push(image);
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for JsonImage<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Image;
        impl<'de> Visitor<'de> for Image {
            type Value = JsonImage<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an image: text in base64, or an object with 'base64' or 'url'")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<JsonImage<'de>, E> {
                Ok(JsonImage {
                    base64: Some(Cow::Borrowed(text)),
                    ..JsonImage::default()
                })
            }

            fn visit_str<E>(self, text: &str) -> Result<JsonImage<'de>, E> {
                Ok(JsonImage {
                    base64: Some(Cow::Owned(text.to_owned())),
                    ..JsonImage::default()
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonImage<'de>, A::Error> {
                let mut image = JsonImage::default();
                while let Some(Text(name)) = map.next_key()? {
                    let field = match &*name {
                        "name" => &mut image.name,
                        "base64" => &mut image.base64,
                        "url" => &mut image.url,
                        _ => {
                            const FIELDS: &[&str] = &["name", "base64", "url"];
                            let name: String = name.chars().take(80).collect();
                            return Err(A::Error::unknown_field(&name, FIELDS));
                        }
                    };
                    if field.is_some() {
                        return Err(A::Error::custom(format!("{name:?} is given twice")));
                    }
                    *field = map.next_value::<Option<Text>>()?.map(|text| text.0);
                }
                Ok(image)
            }
        }
        json.deserialize_any(Image)
    }
}

/// Text, not copied where it stands in the body as it is.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Letters;
        impl<'de> Visitor<'de> for Letters {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        json.deserialize_str(Letters)
    }
}

/// A parameter's value: one word or number, or a short list of them.
struct Parameter;

impl<'de> DeserializeSeed<'de> for Parameter {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Parameter {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a parameter: text, a number, true, false, or a list of these")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        match text.len() <= MAX_TEXT {
            true => Ok(text.into()),
            false => Err(E::custom(format!(
                "a text of more than {MAX_TEXT} bytes as a parameter"
            ))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Parameter)? {
            if items.len() == MAX_ITEMS || item.is_array() {
                return Err(A::Error::custom(format!(
                    "expected a flat list of at most {MAX_ITEMS} values as a parameter"
                )));
            }
            items.push(item);
        }
        Ok(items.into())
    }

    /// No parameter is an object; which one this is for, the parameter's own error tells.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(serde_json::Map::new()))
    }
}
