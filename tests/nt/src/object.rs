//! Framework objects: handles, contexts, parents, and how they end.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    kernel::{Invocation, Pending, State, Stop, violation},
    layout::{ContextTypeInfo, ObjectAttributes},
    memory::Kind,
};

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// `WDFDRIVER`.
    Driver,
    /// `WDFDEVICE` of the device with this number.
    Device(usize),
    /// `WDFKEY`: the service's Parameters key.
    Key,
    /// `WDFIOTARGET` of the device with this number: what is below it.
    IoTarget(usize),
    /// `WDFMEMORY`: its buffer and length, and whether the buffer goes with it.
    Memory(u64, u64, bool),
    /// `WDFSPINLOCK`, and the IRQL to go back to while it is held.
    SpinLock(Option<u8>),
    /// `WDFCMRESLIST` of the device with this number.
    Resources(usize),
}

impl Class {
    /// The handle's type.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Driver => "WDFDRIVER",
            Self::Device(_) => "WDFDEVICE",
            Self::Key => "WDFKEY",
            Self::IoTarget(_) => "WDFIOTARGET",
            Self::Memory(..) => "WDFMEMORY",
            Self::SpinLock(_) => "WDFSPINLOCK",
            Self::Resources(_) => "WDFCMRESLIST",
        }
    }
}

/// A context of an object: the type that it is asked for by, and where it is.
#[derive(Clone, Copy, Debug)]
struct Context {
    unique: u64,
    address: u64,
}

/// A framework object.
#[derive(Clone, Debug)]
pub struct Object {
    /// What it is.
    pub class: Class,
    /// Its parent's handle, 0 for the driver object.
    pub parent: u64,
    cleanup: u64,
    destroy: u64,
    contexts: Vec<Context>,
    ending: bool,
}

/// All objects.
#[derive(Debug, Default)]
pub struct Objects {
    alive: BTreeMap<u64, Object>,
    gone: BTreeSet<u64>,
    made: u64,
}

impl Objects {
    /// Handles of all objects that `matches` picks.
    pub fn find(&self, mut matches: impl FnMut(&Object) -> bool) -> Vec<u64> {
        let found = self.alive.iter().filter(|(_, object)| matches(object));
        found.map(|(handle, _)| *handle).collect()
    }

    /// Changes what an object is.
    pub fn set_class(&mut self, handle: u64, class: Class) {
        if let Some(object) = self.alive.get_mut(&handle) {
            object.class = class;
        }
    }
}

/// Handles are no addresses: following one faults.
const FIRST_HANDLE: u64 = 0xFFFF_FD80_0000_0000;
const STATUS_SUCCESS: u32 = 0;

impl State<'_> {
    /// Makes an object as `attributes` (which may be 0) says.
    ///
    /// # Errors
    ///
    /// A violation for bad attributes.
    pub fn create_object(
        &mut self,
        class: Class,
        default_parent: u64,
        attributes: u64,
    ) -> Result<u64, Stop> {
        let mut object = Object {
            class,
            parent: default_parent,
            cleanup: 0,
            destroy: 0,
            contexts: Vec::new(),
            ending: false,
        };
        let handle = FIRST_HANDLE + (self.objects.made + 1) * 0x10;
        self.objects.made += 1;
        if attributes != 0 {
            let given: ObjectAttributes = self.read_sized(
                attributes,
                "WDF_OBJECT_ATTRIBUTES",
                |a: &ObjectAttributes| a.size,
            )?;
            object.cleanup = given.cleanup;
            object.destroy = given.destroy;
            if given.parent != 0 {
                self.object(given.parent, "ParentObject")?;
                object.parent = given.parent;
            }
            if given.context_type != 0 {
                let context = self.create_context(handle, &given)?;
                object.contexts.push(context);
            }
        }
        self.objects.alive.insert(handle, object);
        Ok(handle)
    }

    fn create_context(&mut self, handle: u64, given: &ObjectAttributes) -> Result<Context, Stop> {
        let info: ContextTypeInfo = self.read_sized(
            given.context_type,
            "WDF_OBJECT_CONTEXT_TYPE_INFO",
            |info: &ContextTypeInfo| info.size,
        )?;
        let size = if given.context_size == 0 {
            info.context_size
        } else {
            given.context_size
        };
        if size < info.context_size || size > 1 << 20 {
            return Err(violation(
                "bad-context-size",
                format!(
                    "a context of {size} bytes is asked for, its type has {}; see \
                     \"WDF_OBJECT_ATTRIBUTES\"",
                    info.context_size
                ),
            ));
        }
        let address = self
            .allocate(size, Kind::Context(handle))
            .ok_or_else(|| violation("no-memory", "no memory for a context"))?;
        Ok(Context {
            unique: if info.unique == 0 {
                given.context_type
            } else {
                info.unique
            },
            address,
        })
    }

    /// Adds a further context to an object. The result is its address and whether
    /// the object already had it.
    ///
    /// # Errors
    ///
    /// A violation for bad attributes.
    pub fn add_context(&mut self, handle: u64, attributes: u64) -> Result<(u64, bool), Stop> {
        let given: ObjectAttributes = self.read_sized(
            attributes,
            "WDF_OBJECT_ATTRIBUTES",
            |given: &ObjectAttributes| given.size,
        )?;
        let context = self.create_context(handle, &given)?;
        let Some(object) = self.objects.alive.get_mut(&handle) else {
            return Ok((0, false));
        };
        if let Some(old) = object
            .contexts
            .iter()
            .find(|old| old.unique == context.unique)
        {
            return Ok((old.address, true));
        }
        object.contexts.push(context);
        Ok((context.address, false))
    }

    /// Reads a structure whose first member is its size.
    ///
    /// # Errors
    ///
    /// A violation where it can't be read or its size is another.
    pub fn read_sized<T: crate::memory::Plain>(
        &self,
        address: u64,
        name: &'static str,
        size: impl FnOnce(&T) -> u32,
    ) -> Result<T, Stop> {
        let given: u32 = self.read(address, name)?;
        if given as usize != size_of::<T>() {
            return Err(violation(
                "structure-size",
                format!(
                    "{name} has Size {given}, but KMDF 1.{} has {}; see \"{name}\"",
                    self.framework.minor,
                    size_of::<T>()
                ),
            ));
        }
        let value: T = self.read(address, name)?;
        debug_assert_eq!(size(&value), given, "Size is the first member");
        Ok(value)
    }

    /// The object that `handle` stands for.
    ///
    /// # Errors
    ///
    /// A violation where it is none, or is no more.
    pub fn object(&self, handle: u64, what: &str) -> Result<&Object, Stop> {
        self.objects.alive.get(&handle).ok_or_else(|| {
            if self.objects.gone.contains(&handle) {
                violation(
                    "handle-dead",
                    format!("{what} is a handle of an object that was deleted; see \"Framework Object Life Cycle\""),
                )
            } else {
                violation(
                    "handle-bad",
                    format!("{what} is 0x{handle:x}, which is no handle; see \"Introduction to Framework Objects\""),
                )
            }
        })
    }

    fn wrong_type(expected: &str, object: &Object) -> Stop {
        violation(
            "handle-wrong-type",
            format!(
                "a {expected} is expected, but the handle is a {}; see \"Introduction to \
                 Framework Objects\"",
                object.class.name()
            ),
        )
    }

    /// The number of the device whose handle this is.
    ///
    /// # Errors
    ///
    /// A violation where it is no live `WDFDEVICE`.
    pub fn device_of(&self, handle: u64) -> Result<usize, Stop> {
        let object = self.object(handle, "Device")?;
        match object.class {
            Class::Device(device) => Ok(device),
            _ => Err(Self::wrong_type("WDFDEVICE", object)),
        }
    }

    /// The class of the object, which must have the type `expected`.
    ///
    /// # Errors
    ///
    /// A violation where it is of another type or not alive.
    pub fn class_of(&self, handle: u64, expected: &'static str) -> Result<Class, Stop> {
        let object = self.object(handle, expected)?;
        if object.class.name() == expected {
            Ok(object.class.clone())
        } else {
            Err(Self::wrong_type(expected, object))
        }
    }

    /// Address of the context of that type, 0 where there is none.
    ///
    /// # Errors
    ///
    /// A violation where the object is not alive.
    pub fn context_of(&self, handle: u64, unique: u64) -> Result<u64, Stop> {
        let contexts = &self.object(handle, "Handle")?.contexts;
        let found = contexts.iter().find(|context| context.unique == unique);
        Ok(found.map_or(0, |context| context.address))
    }

    /// Begins to delete an object with all its children: cleanup callbacks from
    /// the leaves to the root, then destroy callbacks ("Framework Object Life
    /// Cycle").
    pub fn delete_object(&mut self, handle: u64) {
        let mut tree = alloc::vec![handle];
        let mut index = 0;
        while index < tree.len() {
            let parent = tree[index];
            tree.extend(self.objects.find(|object| object.parent == parent));
            index += 1;
        }
        tree.reverse();
        tree.retain(|handle| {
            self.objects
                .alive
                .get_mut(handle)
                .is_some_and(|object| !core::mem::replace(&mut object.ending, true))
        });
        let callback = |name, target, handle| {
            (target != 0).then(|| Pending::Call(Invocation::new(name, target, &[handle])))
        };
        for handle in &tree {
            let cleanup = self.objects.alive.get(handle).map_or(0, |o| o.cleanup);
            self.pending
                .extend(callback("EvtCleanupCallback", cleanup, *handle));
        }
        for handle in &tree {
            let destroy = self.objects.alive.get(handle).map_or(0, |o| o.destroy);
            self.pending
                .extend(callback("EvtDestroyCallback", destroy, *handle));
            self.pending.push_back(Pending::Forget(*handle));
        }
    }

    /// Ends an object: its context's memory goes.
    ///
    /// # Errors
    ///
    /// A violation where a bug-check record in the context is still registered.
    pub fn forget_object(&mut self, handle: u64) -> Result<(), Stop> {
        let Some(object) = self.objects.alive.remove(&handle) else {
            return Ok(());
        };
        self.objects.gone.insert(handle);
        let what = object.class.name().to_string();
        for context in &object.contexts {
            self.check_freed(context.address, &what)?;
            let text: String = format!("the context of a deleted {what}");
            self.free(context.address, text);
        }
        if let Class::Memory(buffer, _, true) = object.class {
            self.check_freed(buffer, "WDFMEMORY")?;
            self.free(buffer, "the buffer of a deleted WDFMEMORY".into());
        }
        Ok(())
    }

    /// Writes a new handle to `*out`.
    ///
    /// # Errors
    ///
    /// A violation where it can't be written.
    pub fn give_handle(&self, out: u64, handle: u64) -> Result<u64, Stop> {
        self.write(out, handle, "the address for the handle")?;
        Ok(STATUS_SUCCESS.into())
    }
}
