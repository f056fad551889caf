//! The pickle machine: opcodes of protocols 2 to 5 as `torch.save` writes them (the format is
//! documented in Python's `pickletools`), on a stack of value names.

use std::collections::HashMap;

use super::{Id, Name, Node, Pickle, Record, allowed, damaged};
use crate::read::{Limits, ReadError};

pub(super) fn run<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Pickle<'a>, ReadError> {
    let mut machine = Machine {
        bytes,
        position: 0,
        opcode: 0,
        nodes: Vec::new(),
        most_nodes: usize::try_from(limits.description_bytes / 16).unwrap_or(usize::MAX),
        most_marks: limits.depth,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        unused_getattr: None,
    };
    loop {
        machine.opcode = machine.position;
        let opcode = machine.byte()?;
        if opcode == b'.' {
            break;
        }
        machine.step(opcode)?;
    }
    if let Some(name) = machine.unused_getattr {
        return Err(allowed::forbidden(name));
    }
    let root = machine.pop()?;
    Ok(Pickle {
        nodes: machine.nodes,
        root,
    })
}

struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Where the opcode at work lies, for messages.
    opcode: usize,
    nodes: Vec<Node<'a>>,
    most_nodes: usize,
    most_marks: usize,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// `getattr`, named but not used yet in the one way that is allowed.
    unused_getattr: Option<Name<'a>>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8) -> Result<(), ReadError> {
        match opcode {
            b'(' => self.mark(),
            b'h' | b'j' | b'q' | b'r' | 0x94 | b'0' | b'1' | b'2' | 0x80 | 0x95 => {
                self.arrange(opcode)
            }
            b'c' | 0x93 | b'i' | b'o' | b'R' | 0x81 | 0x92 | b'b' | b'Q' => {
                self.name_or_object(opcode)
            }
            b']' | b'}' | b')' | 0x8f | b't' | 0x85..=0x87 | b'l' | b'd' | 0x91 => {
                self.container(opcode)
            }
            b'a' | b'e' | b's' | b'u' | 0x90 => self.fill(opcode),
            _ => self.scalar(opcode),
        }
    }

    /// Opcodes that move values or mean nothing.
    fn arrange(&mut self, opcode: u8) -> Result<(), ReadError> {
        match opcode {
            0x80 => match self.byte()? {
                0..=5 => {}
                protocol => return Err(self.damaged(&format!("protocol {protocol} is unknown"))),
            },
            0x95 => {
                self.take(8)?;
            }
            b'h' | b'j' => {
                let key = self.memo_key(opcode == b'j')?;
                let Some(&id) = self.memo.get(&key) else {
                    return Err(self.damaged(&format!("nothing was remembered as {key}")));
                };
                self.stack.push(id);
            }
            b'q' | b'r' => {
                let key = self.memo_key(opcode == b'r')?;
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            0x94 => {
                let top = self.top()?;
                self.memo.insert(self.memo.len() as u32, top);
            }
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.above_mark()?;
            }
            _ => {
                let top = self.top()?;
                self.stack.push(top);
            }
        }
        Ok(())
    }

    fn scalar(&mut self, opcode: u8) -> Result<(), ReadError> {
        let node = match opcode {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Node::Int(i64::from(self.byte()?)),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.array()?))),
            0x8a | 0x8b => self.long(opcode)?,
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            0x8c | b'X' | 0x8d | b'U' | b'T' => self.text(opcode)?,
            b'C' | b'B' | 0x8e | 0x96 => {
                let length = self.length(match opcode {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                })?;
                self.take(length)?;
                Node::Opaque
            }
            _ => return Err(self.damaged("the opcode is unknown")),
        };
        self.push(node)
    }

    /// An integer of any length, little-endian two's complement.
    fn long(&mut self, opcode: u8) -> Result<Node<'a>, ReadError> {
        let length = self.length(if opcode == 0x8a { 1 } else { 4 })?;
        let digits = self.take(length)?;
        if digits.len() > 8 {
            return Ok(Node::Opaque);
        }
        let negative = digits.last().is_some_and(|last| last & 0x80 != 0);
        let mut value = [if negative { 0xff } else { 0 }; 8];
        value[..digits.len()].copy_from_slice(digits);
        Ok(Node::Int(i64::from_le_bytes(value)))
    }

    fn text(&mut self, opcode: u8) -> Result<Node<'a>, ReadError> {
        let length = self.length(match opcode {
            0x8c | b'U' => 1,
            0x8d => 8,
            _ => 4,
        })?;
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => Ok(Node::Str(text)),
            // Python 2 strings are bytes, and lone surrogates are legal in newer ones.
            Err(_) => Ok(Node::Opaque),
        }
    }

    fn container(&mut self, opcode: u8) -> Result<(), ReadError> {
        let node = match opcode {
            b']' => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            0x8f => Node::Set,
            b't' => Node::Tuple(self.above_mark()?),
            0x85..=0x87 => {
                let size = usize::from(opcode - 0x84);
                let start = self.floor_check(size)?;
                Node::Tuple(self.stack.split_off(start))
            }
            b'l' => Node::List(self.above_mark()?),
            0x91 => {
                self.above_mark()?;
                Node::Set
            }
            _ => {
                let flat = self.above_mark()?;
                Node::Dict(self.pairs(&flat)?)
            }
        };
        self.push(node)
    }

    /// Opcodes that add to a container on the stack.
    fn fill(&mut self, opcode: u8) -> Result<(), ReadError> {
        let added = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let start = self.floor_check(2)?;
                self.stack.split_off(start)
            }
            _ => self.above_mark()?,
        };
        let target = self.top()?.0 as usize;
        if matches!(opcode, b's' | b'u') {
            let pairs = self.pairs(&added)?;
            match &mut self.nodes[target] {
                Node::Dict(items) => items.extend(pairs),
                Node::Object(record) => record.items.extend(pairs),
                _ => return Err(self.damaged("items are set on what is no mapping")),
            }
            return Ok(());
        }
        match &mut self.nodes[target] {
            Node::List(elements) if opcode != 0x90 => elements.extend(added),
            Node::Set | Node::Object(_) => {}
            _ => return Err(self.damaged("elements are added to what is no list")),
        }
        Ok(())
    }

    fn name_or_object(&mut self, opcode: u8) -> Result<(), ReadError> {
        match opcode {
            b'c' => {
                let name = self.named()?;
                self.push(name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (&Node::Str(module), &Node::Str(name)) = (self.at(module), self.at(name))
                else {
                    return Err(self.damaged("a class is named by what is no text"));
                };
                let class = self.class(module, name)?;
                self.push(class)
            }
            b'i' => {
                let name = self.named()?;
                let args = Node::Tuple(self.above_mark()?);
                let (class, args) = (self.store(name)?, self.store(args)?);
                self.object(class, args)
            }
            b'o' => {
                let mut args = self.above_mark()?;
                if args.is_empty() {
                    return Err(self.damaged("an object has no class"));
                }
                let class = args.remove(0);
                let args = self.store(Node::Tuple(args))?;
                self.object(class, args)
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
            b'b' => {
                let state = self.pop()?;
                let target = self.top()?.0 as usize;
                match &mut self.nodes[target] {
                    Node::Object(record) => record.state = Some(state),
                    _ => return Err(self.damaged("a state is given to what is no object")),
                }
                Ok(())
            }
            _ => {
                if opcode == 0x92 {
                    self.pop()?;
                }
                let (args, class) = (self.pop()?, self.pop()?);
                self.object(class, args)
            }
        }
    }

    fn object(&mut self, class: Id, args: Id) -> Result<(), ReadError> {
        let name = match self.at(class) {
            Node::Global(name) => **name,
            _ => return Err(self.damaged("it calls what is no class")),
        };
        if allowed::is_getattr(name) {
            self.check_getattr(name, args)?;
        }
        self.push(Node::Object(Box::new(Record {
            class,
            args,
            state: None,
            items: Vec::new(),
        })))
    }

    fn class(&mut self, module: &'a str, name: &'a str) -> Result<Node<'a>, ReadError> {
        let class = Name { module, name };
        if allowed::is_getattr(class) {
            self.unused_getattr = Some(class);
        } else {
            allowed::check(module, name)?;
        }
        Ok(Node::Global(Box::new(class)))
    }

    /// Only a method of an object on the list may be named, and even that stays a record.
    fn check_getattr(&mut self, name: Name<'a>, args: Id) -> Result<(), ReadError> {
        let Node::Tuple(args) = self.at(args) else {
            return Err(allowed::forbidden(name));
        };
        let [object, method] = args[..] else {
            return Err(allowed::forbidden(name));
        };
        match (self.at(object), self.at(method)) {
            (Node::Object(_), Node::Str(method)) if allowed::is_exchanged_method(method) => {
                self.unused_getattr = None;
                Ok(())
            }
            _ => Err(allowed::forbidden(name)),
        }
    }

    /// Two lines, module and name.
    fn named(&mut self) -> Result<Node<'a>, ReadError> {
        let (module, name) = (self.line()?, self.line()?);
        self.class(module, name)
    }

    fn pairs(&self, flat: &[Id]) -> Result<Vec<(Id, Id)>, ReadError> {
        if !flat.len().is_multiple_of(2) {
            return Err(self.damaged("a key has no value"));
        }
        Ok(flat
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect())
    }

    fn mark(&mut self) -> Result<(), ReadError> {
        if self.marks.len() >= self.most_marks {
            return Err(ReadError::Limit {
                what: "the nesting of the pickle's containers".to_owned(),
                actual: self.marks.len() as u64 + 1,
                limit: self.most_marks as u64,
            });
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn above_mark(&mut self) -> Result<Vec<Id>, ReadError> {
        let Some(mark) = self.marks.pop() else {
            return Err(self.damaged("there is no mark"));
        };
        Ok(self.stack.split_off(mark))
    }

    /// Where the last `size` values start; none of them may lie below the last mark.
    fn floor_check(&self, size: usize) -> Result<usize, ReadError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(size) {
            Some(start) if start >= floor => Ok(start),
            _ => Err(self.damaged("the stack is empty")),
        }
    }

    fn top(&self) -> Result<Id, ReadError> {
        self.floor_check(1).map(|start| self.stack[start])
    }

    fn pop(&mut self) -> Result<Id, ReadError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), ReadError> {
        let id = self.store(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn store(&mut self, node: Node<'a>) -> Result<Id, ReadError> {
        let id = u32::try_from(self.nodes.len())
            .ok()
            .filter(|_| self.nodes.len() < self.most_nodes);
        let Some(id) = id else {
            return Err(ReadError::Limit {
                what: "the number of values in the pickle".to_owned(),
                actual: self.nodes.len() as u64 + 1,
                limit: self.most_nodes as u64,
            });
        };
        self.nodes.push(node);
        Ok(Id(id))
    }

    fn at(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    fn memo_key(&mut self, long: bool) -> Result<u32, ReadError> {
        match long {
            true => Ok(u32::from_le_bytes(self.array()?)),
            false => Ok(u32::from(self.byte()?)),
        }
    }

    /// A length of `bytes` bytes, little-endian.
    fn length(&mut self, bytes: usize) -> Result<usize, ReadError> {
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(value)).map_err(|_| self.damaged("a length is absurd"))
    }

    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], ReadError> {
        let mut array = [0; SIZE];
        array.copy_from_slice(self.take(SIZE)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, ReadError> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn line(&mut self) -> Result<&'a str, ReadError> {
        let rest = &self.bytes[self.position..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(self.damaged("a name does not end"));
        };
        self.position += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| self.damaged("a name is no text"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        let end = self.position.checked_add(length);
        let Some(taken) = end.and_then(|end| self.bytes.get(self.position..end)) else {
            return Err(self.damaged("the pickle ends early"));
        };
        self.position += length;
        Ok(taken)
    }

    fn damaged(&self, reason: &str) -> ReadError {
        let opcode = self.bytes.get(self.opcode).copied().unwrap_or(0);
        damaged(format!(
            "pickle opcode {opcode:#04x} at byte {}: {reason}",
            self.opcode
        ))
    }
}
