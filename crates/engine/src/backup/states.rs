//! The types of a snapshot as they come to be known.

use std::collections::BTreeMap;

use jmap::State;
use model::DataType;
use repository::{TypeState, TypeStatus};

/// The types of the snapshot as they come to be known.
#[derive(Default)]
pub(crate) struct TypeStates {
    pub(crate) states: BTreeMap<DataType, TypeState>,
    /// All emails were listed.
    pub(crate) listed: bool,
}

impl TypeStates {
    /// Records how well a type is known; `reason`: why it is not.
    pub(crate) fn set(
        &mut self,
        data_type: DataType,
        status: TypeStatus,
        state: &str,
        count: u64,
        reason: &str,
    ) {
        let (state, reason) = (state.to_owned(), reason.to_owned());
        self.states.insert(
            data_type,
            TypeState {
                data_type,
                status,
                state,
                count,
                reason,
                witness: 0,
                recent: Vec::new(),
                not_given: Vec::new(),
                of_owner: false,
            },
        );
    }

    /// Records that what was read is as its owner sees it.
    pub(crate) fn set_of_owner(&mut self, data_type: DataType, of_owner: bool) {
        if let Some(state) = self.states.get_mut(&data_type) {
            state.of_owner = of_owner;
        }
    }

    /// Records what objects of this type lack.
    pub(crate) fn set_not_given(&mut self, data_type: DataType, not_given: Vec<String>) {
        if let Some(state) = self.states.get_mut(&data_type) {
            state.not_given = not_given;
        }
    }

    /// Records the witness of this type.
    pub(crate) fn set_witness(&mut self, data_type: DataType, witness: u64) {
        if let Some(state) = self.states.get_mut(&data_type) {
            state.witness = witness;
        }
    }

    /// The state of a type that is known as a whole.
    pub(crate) fn complete(&self, data_type: DataType) -> Option<State> {
        let known = self.states.get(&data_type).filter(|t| t.status == TypeStatus::Complete)?;
        State::new(&known.state).ok()
    }
}
