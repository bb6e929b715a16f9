//! Half-open intervals of keys, each with the slots that hold it, and the ones that a key is in.
//!
//! An AVL tree ordered by (lower, upper); each node also knows the node of its subtree whose upper
//! bound reaches furthest (the augmented tree of Cormen et al., Introduction to Algorithms, 14.3).
//! A stab takes O(log n) for each interval found, and O(log n) when there is none: the search
//! enters a left subtree only if something in it reaches beyond the key, and everything there
//! starts at or before the key or lies left of a node that starts after it.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::index::SlotId;

type NodeId = u32;
const NIL: NodeId = NodeId::MAX;

/// The bounds as the tree keeps them; the callers' copies share the bytes.
pub(crate) type Bounds = (Arc<[u8]>, Option<Arc<[u8]>>);

#[derive(Debug, Default)]
pub(crate) struct IntervalTree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    root: Root,
}

#[derive(Debug)]
struct Root(NodeId);

impl Default for Root {
    fn default() -> Self {
        Root(NIL)
    }
}

#[derive(Debug)]
struct Node {
    bounds: Bounds,
    slots: BTreeSet<SlotId>,
    left: NodeId,
    right: NodeId,
    height: i8,
    /// The node of this subtree with the greatest upper bound.
    reach: NodeId,
}

impl IntervalTree {
    pub(crate) fn is_empty(&self) -> bool {
        self.root.0 == NIL
    }

    /// Adds the slot to the interval. `None` if it was there already.
    pub(crate) fn insert(
        &mut self,
        lower: &[u8],
        upper: Option<&[u8]>,
        slot: SlotId,
    ) -> Option<Bounds> {
        let node = match self.find(lower, upper) {
            Some(node) => node,
            None => {
                let node = self.allocate((Arc::from(lower), upper.map(Arc::from)));
                self.root.0 = self.attach(self.root.0, node);
                node
            }
        };
        let node = self.at_mut(node);
        node.slots.insert(slot).then(|| node.bounds.clone())
    }

    /// Takes the slot from the interval, and the interval away when it was the last.
    pub(crate) fn remove(&mut self, lower: &[u8], upper: Option<&[u8]>, slot: SlotId) {
        let Some(found) = self.find(lower, upper) else {
            return;
        };
        let node = self.at_mut(found);
        node.slots.remove(&slot);
        if !node.slots.is_empty() {
            return;
        }
        self.root.0 = self.detach(self.root.0, found);
        let node = self.at_mut(found);
        node.bounds = (Arc::from([].as_slice()), None);
        self.free.push(found);
    }

    /// Calls `found` with the slots of each interval that holds the key. How many nodes were seen.
    pub(crate) fn stab(&self, key: &[u8], found: &mut impl FnMut(SlotId)) -> usize {
        self.stab_under(self.root.0, key, found)
    }

    /// Calls `found` with the slots of every interval.
    pub(crate) fn all(&self, found: &mut impl FnMut(SlotId)) {
        self.all_under(self.root.0, found);
    }

    fn stab_under(&self, id: NodeId, key: &[u8], found: &mut impl FnMut(SlotId)) -> usize {
        if id == NIL {
            return 0;
        }
        let node = self.at(id);
        if !ends_after(self.upper(node.reach), key) {
            return 1;
        }
        let mut seen = 1 + self.stab_under(node.left, key, found);
        if node.bounds.0.as_ref() <= key {
            if ends_after(node.bounds.1.as_deref(), key) {
                node.slots.iter().for_each(|slot| found(*slot));
            }
            seen += self.stab_under(node.right, key, found);
        }
        seen
    }

    fn all_under(&self, id: NodeId, found: &mut impl FnMut(SlotId)) {
        if id != NIL {
            let node = self.at(id);
            self.all_under(node.left, found);
            node.slots.iter().for_each(|slot| found(*slot));
            self.all_under(node.right, found);
        }
    }

    fn find(&self, lower: &[u8], upper: Option<&[u8]>) -> Option<NodeId> {
        let mut id = self.root.0;
        while id != NIL {
            let node = self.at(id);
            id = match compare((lower, upper), as_slices(&node.bounds)) {
                Ordering::Less => node.left,
                Ordering::Greater => node.right,
                Ordering::Equal => return Some(id),
            };
        }
        None
    }

    fn allocate(&mut self, bounds: Bounds) -> NodeId {
        let reused = self.free.pop();
        let id = reused.unwrap_or_else(|| {
            NodeId::try_from(self.nodes.len()).expect("fewer than 2^32 intervals")
        });
        assert_ne!(id, NIL, "fewer than 2^32 - 1 intervals");
        let node = Node {
            bounds,
            slots: BTreeSet::new(),
            left: NIL,
            right: NIL,
            height: 1,
            reach: id,
        };
        match reused {
            Some(_) => *self.at_mut(id) = node,
            None => self.nodes.push(node),
        }
        id
    }

    /// Hangs a new node below `id`; the subtree's new root.
    fn attach(&mut self, id: NodeId, new: NodeId) -> NodeId {
        if id == NIL {
            return new;
        }
        if self.precedes(new, id) {
            let left = self.attach(self.at(id).left, new);
            self.at_mut(id).left = left;
        } else {
            let right = self.attach(self.at(id).right, new);
            self.at_mut(id).right = right;
        }
        self.balance(id)
    }

    /// Takes the node `gone` out from below `id`; the subtree's new root.
    fn detach(&mut self, id: NodeId, gone: NodeId) -> NodeId {
        assert_ne!(id, NIL, "an interval that was found is in the tree");
        let (left, right) = (self.at(id).left, self.at(id).right);
        if id == gone {
            if right == NIL {
                return left;
            }
            let (next, rest) = self.detach_first(right);
            self.at_mut(next).left = left;
            self.at_mut(next).right = rest;
            return self.balance(next);
        }
        if self.precedes(gone, id) {
            let left = self.detach(left, gone);
            self.at_mut(id).left = left;
        } else {
            let right = self.detach(right, gone);
            self.at_mut(id).right = right;
        }
        self.balance(id)
    }

    /// Takes the first node out from below `id`: that node, and the subtree's new root.
    fn detach_first(&mut self, id: NodeId) -> (NodeId, NodeId) {
        let node = self.at(id);
        if node.left == NIL {
            return (id, node.right);
        }
        let (first, rest) = self.detach_first(node.left);
        self.at_mut(id).left = rest;
        (first, self.balance(id))
    }

    /// Restores height, reach and balance of a node whose children are right; the new root.
    fn balance(&mut self, id: NodeId) -> NodeId {
        let tilt = self.tilt(id);
        if tilt > 1 {
            let left = self.at(id).left;
            if self.tilt(left) < 0 {
                let turned = self.rotate_left(left);
                self.at_mut(id).left = turned;
            }
            self.rotate_right(id)
        } else if tilt < -1 {
            let right = self.at(id).right;
            if self.tilt(right) > 0 {
                let turned = self.rotate_right(right);
                self.at_mut(id).right = turned;
            }
            self.rotate_left(id)
        } else {
            self.refresh(id);
            id
        }
    }

    fn rotate_left(&mut self, id: NodeId) -> NodeId {
        let up = self.at(id).right;
        self.at_mut(id).right = self.at(up).left;
        self.at_mut(up).left = id;
        self.refresh(id);
        self.refresh(up);
        up
    }

    fn rotate_right(&mut self, id: NodeId) -> NodeId {
        let up = self.at(id).left;
        self.at_mut(id).left = self.at(up).right;
        self.at_mut(up).right = id;
        self.refresh(id);
        self.refresh(up);
        up
    }

    fn refresh(&mut self, id: NodeId) {
        let (left, right) = (self.at(id).left, self.at(id).right);
        let mut reach = id;
        for child in [left, right] {
            if child != NIL {
                let candidate = self.at(child).reach;
                if compare_upper(self.upper(candidate), self.upper(reach)) == Ordering::Greater {
                    reach = candidate;
                }
            }
        }
        let height = 1 + self.height(left).max(self.height(right));
        let node = self.at_mut(id);
        node.reach = reach;
        node.height = height;
    }

    /// How much higher the left subtree is than the right one.
    fn tilt(&self, id: NodeId) -> i8 {
        let node = self.at(id);
        self.height(node.left) - self.height(node.right)
    }

    fn height(&self, id: NodeId) -> i8 {
        if id == NIL { 0 } else { self.at(id).height }
    }

    fn precedes(&self, a: NodeId, b: NodeId) -> bool {
        let (a, b) = (&self.at(a).bounds, &self.at(b).bounds);
        compare(as_slices(a), as_slices(b)) == Ordering::Less
    }

    fn upper(&self, id: NodeId) -> Option<&[u8]> {
        self.at(id).bounds.1.as_deref()
    }

    fn at(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    fn at_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }
}

fn as_slices(bounds: &Bounds) -> (&[u8], Option<&[u8]>) {
    (&bounds.0, bounds.1.as_deref())
}

fn compare(a: (&[u8], Option<&[u8]>), b: (&[u8], Option<&[u8]>)) -> Ordering {
    a.0.cmp(b.0).then_with(|| compare_upper(a.1, b.1))
}

/// No upper bound lies beyond all others.
fn compare_upper(a: Option<&[u8]>, b: Option<&[u8]>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => a.cmp(b),
    }
}

fn ends_after(upper: Option<&[u8]>, key: &[u8]) -> bool {
    upper.is_none_or(|upper| upper > key)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    impl IntervalTree {
        /// Checks order, balance, heights and reach below a node; its height.
        fn check(&self, id: NodeId) -> i8 {
            if id == NIL {
                return 0;
            }
            let node = self.at(id);
            assert!(!node.slots.is_empty(), "an interval without slots is gone");
            let heights = (self.check(node.left), self.check(node.right));
            assert!((heights.0 - heights.1).abs() <= 1, "balanced");
            assert_eq!(node.height, 1 + heights.0.max(heights.1));
            for (child, order) in [(node.left, Ordering::Less), (node.right, Ordering::Greater)] {
                if child != NIL {
                    let child = self.at(child);
                    assert_eq!(
                        compare(as_slices(&child.bounds), as_slices(&node.bounds)),
                        order
                    );
                    let reach = self.upper(child.reach);
                    assert_ne!(
                        compare_upper(reach, self.upper(node.reach)),
                        Ordering::Greater
                    );
                }
            }
            let own = compare_upper(node.bounds.1.as_deref(), self.upper(node.reach));
            assert_ne!(own, Ordering::Greater);
            node.height
        }

        fn found(&self, key: &[u8]) -> (BTreeSet<SlotId>, usize) {
            let mut found = BTreeSet::new();
            let seen = self.stab(key, &mut |slot| {
                found.insert(slot);
            });
            (found, seen)
        }
    }

    type Interval = (Vec<u8>, Option<Vec<u8>>, SlotId);

    fn interval() -> impl Strategy<Value = Interval> {
        let key = || prop::collection::vec(0u8..4, 0..3);
        (key(), prop::option::weighted(0.9, key()), 0u32..6)
    }

    proptest! {
        #[test]
        fn a_stab_finds_exactly_the_intervals_that_hold_the_key(
            steps in prop::collection::vec((interval(), prop::bool::weighted(0.65)), 0..120),
            keys in prop::collection::vec(prop::collection::vec(0u8..4, 0..4), 12),
        ) {
            let mut tree = IntervalTree::default();
            let mut model: BTreeSet<Interval> = BTreeSet::new();
            for ((lower, upper, slot), insert) in steps {
                if insert || model.is_empty() {
                    let new = model.insert((lower.clone(), upper.clone(), slot));
                    prop_assert_eq!(tree.insert(&lower, upper.as_deref(), slot).is_some(), new);
                } else {
                    let at = lower.len() * 7 + slot as usize;
                    let entry = model.iter().nth(at % model.len()).cloned().unwrap();
                    model.remove(&entry);
                    tree.remove(&entry.0, entry.1.as_deref(), entry.2);
                }
                tree.check(tree.root.0);
            }
            for key in keys {
                let expected = model
                    .iter()
                    .filter(|(lower, upper, _)| {
                        *lower <= key && upper.as_ref().is_none_or(|upper| key < *upper)
                    })
                    .map(|(_, _, slot)| *slot)
                    .collect::<BTreeSet<_>>();
                prop_assert_eq!(tree.found(&key).0, expected);
            }
            for (lower, upper, slot) in &model {
                tree.remove(lower, upper.as_deref(), *slot);
            }
            prop_assert!(tree.is_empty());
            prop_assert_eq!(tree.free.len(), tree.nodes.len());
        }
    }

    #[test]
    fn a_stab_without_hits_sees_few_nodes() {
        let mut tree = IntervalTree::default();
        let count = 1u32 << 14;
        for n in 0..count {
            // Gaps between the intervals, and long ones that end before the last gap.
            let lower = (4 * n).to_be_bytes();
            let upper = (4 * n + 2).to_be_bytes();
            tree.insert(&lower, Some(&upper), n);
            let far = (4 * n + 1).to_be_bytes();
            let end = (4 * (count / 2)).to_be_bytes();
            if n < count / 2 {
                tree.insert(&far, Some(&end), n);
            }
        }
        for n in [count / 2, count / 2 + 17, count - 2, count - 1] {
            let (found, seen) = tree.found(&(4 * n + 3).to_be_bytes());
            assert!(found.is_empty());
            assert!(seen <= 64, "{seen} nodes seen for no hit");
        }
        let (found, seen) = tree.found(&(4 * (count - 1)).to_be_bytes());
        assert_eq!(found.len(), 1);
        assert!(seen <= 64, "{seen} nodes seen for one hit");
    }

    #[test]
    fn slots_of_one_interval_share_a_node() {
        let mut tree = IntervalTree::default();
        for slot in 0..100 {
            tree.insert(b"a", Some(b"b"), slot);
        }
        assert_eq!(tree.nodes.len(), 1);
        assert_eq!(tree.found(b"a5").0.len(), 100);
    }
}
