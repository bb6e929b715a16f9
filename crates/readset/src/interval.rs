//! Half-open intervals of keys, each with those who have it, and the ones that a key is in.
//!
//! An AVL tree ordered by (lower, upper); each node also knows the node of its subtree whose upper
//! bound reaches furthest (the augmented tree of Cormen et al., Introduction to Algorithms, 14.3).
//! A stab takes O(log n) for each interval found, and O(log n) when there is none: the search
//! enters a left subtree only if something in it reaches beyond the key, and everything there
//! starts at or before the key or lies left of a node that starts after it.
//!
//! What a search looks at of a node fits a line of the processor's caches: the beginnings of the bounds, which decide
//! nearly always, and how far the left subtree reaches, so that it need not be looked at to be left out. The rest is
//! elsewhere.

use std::cmp::Ordering;

use crate::attributes::Attributes;
use crate::holders::{Holder, Holders};
use crate::index::SlotId;
use crate::small_key::SmallKey;

/// An interval's place in the tree.
pub(crate) type NodeId = u32;
const NIL: NodeId = NodeId::MAX;

#[derive(Debug, Default)]
pub(crate) struct IntervalTree {
    nodes: Vec<Node>,
    /// The rest of each node.
    intervals: Vec<Interval>,
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
    lower: Prefix,
    upper: Prefix,
    /// The greatest upper bound of the left subtree; the least of all if there is none.
    left_upper: Prefix,
    /// The node that has it.
    left_reach: NodeId,
    left: NodeId,
    right: NodeId,
}

#[derive(Debug)]
struct Interval {
    lower: SmallKey,
    upper: Option<SmallKey>,
    holders: Holders,
    height: i8,
    /// The node of this subtree with the greatest upper bound.
    reach: NodeId,
}

/// The first 16 bytes of a key, with zeros behind a shorter one. If those of two keys differ, they are in the keys'
/// order.
type Prefix = u128;

fn prefix(key: &[u8]) -> Prefix {
    let mut bytes = [0; 16];
    let length = key.len().min(16);
    bytes[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(bytes)
}

/// No bound lies beyond all others.
fn upper_prefix(upper: Option<&[u8]>) -> Prefix {
    upper.map_or(u128::MAX, prefix)
}

impl IntervalTree {
    pub(crate) fn is_empty(&self) -> bool {
        self.root.0 == NIL
    }

    /// Adds the holder to the interval. `None` if it was there already.
    pub(crate) fn insert(
        &mut self,
        lower: &[u8],
        upper: Option<&[u8]>,
        holder: Holder,
    ) -> Option<NodeId> {
        let id = match self.find(lower, upper) {
            Some(id) => id,
            None => {
                let id = self.allocate(lower, upper);
                self.root.0 = self.attach(self.root.0, id);
                id
            }
        };
        let interval = self.interval_mut(id);
        interval.holders.insert(holder).then_some(id)
    }

    /// Takes the holder from the interval, and the interval away when it was the last.
    pub(crate) fn remove(&mut self, id: NodeId, holder: Holder) {
        let interval = self.interval_mut(id);
        interval.holders.remove(holder);
        if !interval.holders.is_empty() {
            return;
        }
        self.root.0 = self.detach(self.root.0, id);
        let interval = self.interval_mut(id);
        (interval.lower, interval.upper) = (SmallKey::default(), None);
        self.free.push(id);
    }

    /// Bytes of bounds that are not in place.
    pub(crate) fn heap_bytes(&self, id: NodeId) -> usize {
        let interval = self.interval(id);
        let upper = interval.upper.as_ref().map_or(0, SmallKey::heap_bytes);
        interval.lower.heap_bytes() + upper
    }

    /// Calls `found` with those who have an interval that holds the key, if they look at what changed. How many
    /// nodes were seen.
    pub(crate) fn stab(
        &self,
        key: &[u8],
        changed: Option<Attributes>,
        found: &mut impl FnMut(SlotId),
    ) -> usize {
        let sought = (key, prefix(key));
        self.stab_under(self.root.0, sought, &mut |holders| {
            holders.hit(changed, found);
        })
    }

    /// Those who have any interval.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Holders> {
        self.intervals.iter().map(|interval| &interval.holders)
    }

    fn stab_under(
        &self,
        mut id: NodeId,
        sought: (&[u8], Prefix),
        found: &mut impl FnMut(&Holders),
    ) -> usize {
        let (key, prefix) = sought;
        let mut seen = 0;
        while id != NIL {
            seen += 1;
            let node = self.at(id);
            // Equal prefixes are rare; then the whole bounds decide.
            let reaches = if node.left_upper == prefix {
                node.left != NIL && ends_after(self.upper(node.left_reach), key)
            } else {
                node.left_upper > prefix
            };
            let begins = if node.lower == prefix {
                self.interval(id).lower.as_slice() <= key
            } else {
                node.lower < prefix
            };
            if !begins {
                // What is to the right begins later still.
                id = if reaches { node.left } else { NIL };
                continue;
            }
            if reaches {
                seen += self.stab_under(node.left, sought, found);
            }
            let is_in = if node.upper == prefix {
                ends_after(self.upper(id), key)
            } else {
                node.upper > prefix
            };
            if is_in {
                found(&self.interval(id).holders);
            }
            id = node.right;
        }
        seen
    }

    fn find(&self, lower: &[u8], upper: Option<&[u8]>) -> Option<NodeId> {
        let mut id = self.root.0;
        while id != NIL {
            id = match compare((lower, upper), self.bounds(id)) {
                Ordering::Less => self.at(id).left,
                Ordering::Greater => self.at(id).right,
                Ordering::Equal => return Some(id),
            };
        }
        None
    }

    fn allocate(&mut self, lower: &[u8], upper: Option<&[u8]>) -> NodeId {
        let reused = self.free.pop();
        let id = reused.unwrap_or_else(|| {
            NodeId::try_from(self.nodes.len()).expect("fewer than 2^32 intervals")
        });
        assert_ne!(id, NIL, "fewer than 2^32 - 1 intervals");
        let node = Node {
            lower: prefix(lower),
            upper: upper_prefix(upper),
            left_upper: Prefix::default(),
            left_reach: NIL,
            left: NIL,
            right: NIL,
        };
        let interval = Interval {
            lower: SmallKey::from(lower),
            upper: upper.map(SmallKey::from),
            holders: Holders::None,
            height: 1,
            reach: id,
        };
        if reused.is_some() {
            *self.at_mut(id) = node;
            *self.interval_mut(id) = interval;
        } else {
            self.nodes.push(node);
            self.intervals.push(interval);
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
                let candidate = self.interval(child).reach;
                if compare_upper(self.upper(candidate), self.upper(reach)) == Ordering::Greater {
                    reach = candidate;
                }
            }
        }
        let height = 1 + self.height(left).max(self.height(right));
        let interval = self.interval_mut(id);
        (interval.reach, interval.height) = (reach, height);
        let (left_reach, left_upper) = if left == NIL {
            (NIL, Prefix::default())
        } else {
            let reach = self.interval(left).reach;
            (reach, self.at(reach).upper)
        };
        let node = self.at_mut(id);
        (node.left_reach, node.left_upper) = (left_reach, left_upper);
    }

    /// How much higher the left subtree is than the right one.
    fn tilt(&self, id: NodeId) -> i8 {
        let node = self.at(id);
        self.height(node.left) - self.height(node.right)
    }

    fn height(&self, id: NodeId) -> i8 {
        if id == NIL {
            0
        } else {
            self.interval(id).height
        }
    }

    fn precedes(&self, a: NodeId, b: NodeId) -> bool {
        compare(self.bounds(a), self.bounds(b)) == Ordering::Less
    }

    fn bounds(&self, id: NodeId) -> (&[u8], Option<&[u8]>) {
        (self.interval(id).lower.as_slice(), self.upper(id))
    }

    fn upper(&self, id: NodeId) -> Option<&[u8]> {
        self.interval(id).upper.as_ref().map(SmallKey::as_slice)
    }

    fn interval(&self, id: NodeId) -> &Interval {
        &self.intervals[id as usize]
    }

    fn interval_mut(&mut self, id: NodeId) -> &mut Interval {
        &mut self.intervals[id as usize]
    }

    fn at(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    fn at_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }
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

    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    impl IntervalTree {
        /// Checks order, balance, heights and reach below a node; its height.
        fn check(&self, id: NodeId) -> i8 {
            if id == NIL {
                return 0;
            }
            let node = self.at(id);
            let interval = self.interval(id);
            assert!(
                !interval.holders.is_empty(),
                "an interval of nobody is gone"
            );
            let heights = (self.check(node.left), self.check(node.right));
            assert!((heights.0 - heights.1).abs() <= 1, "balanced");
            assert_eq!(interval.height, 1 + heights.0.max(heights.1));
            for (child, order) in [(node.left, Ordering::Less), (node.right, Ordering::Greater)] {
                if child != NIL {
                    assert_eq!(compare(self.bounds(child), self.bounds(id)), order);
                    let reach = self.upper(self.interval(child).reach);
                    assert_ne!(
                        compare_upper(reach, self.upper(interval.reach)),
                        Ordering::Greater
                    );
                }
            }
            assert_eq!(node.lower, prefix(interval.lower.as_slice()));
            assert_eq!(node.upper, upper_prefix(self.upper(id)));
            if node.left == NIL {
                assert_eq!(node.left_upper, Prefix::default());
            } else {
                assert_eq!(node.left_reach, self.interval(node.left).reach);
                let left_upper = upper_prefix(self.upper(node.left_reach));
                assert_eq!(node.left_upper, left_upper);
            }
            let own = compare_upper(self.upper(id), self.upper(interval.reach));
            assert_ne!(own, Ordering::Greater);
            interval.height
        }

        fn found(&self, key: &[u8]) -> (BTreeSet<SlotId>, usize) {
            let mut found = BTreeSet::new();
            let seen = self.stab(key, None, &mut |slot| {
                found.insert(slot);
            });
            (found, seen)
        }
    }

    type Interval = (Vec<u8>, Option<Vec<u8>>, SlotId);

    const ALL: Attributes = Attributes::ALL;

    /// Some keys differ only beyond what nodes keep of them.
    fn lengthened((key, lengthen): (Vec<u8>, bool)) -> Vec<u8> {
        if lengthen {
            [[1; 24].as_slice(), &key].concat()
        } else {
            key
        }
    }

    fn interval() -> impl Strategy<Value = Interval> {
        let key = || (prop::collection::vec(0u8..4, 0..3), prop::bool::ANY).prop_map(lengthened);
        (key(), prop::option::weighted(0.9, key()), 0u32..6)
    }

    proptest! {
        #[test]
        fn a_stab_finds_exactly_the_intervals_that_hold_the_key(
            steps in prop::collection::vec((interval(), prop::bool::weighted(0.65)), 0..120),
            keys in prop::collection::vec(
                (prop::collection::vec(0u8..4, 0..4), prop::bool::ANY).prop_map(lengthened),
                24,
            ),
        ) {
            let mut tree = IntervalTree::default();
            let mut model: BTreeMap<Interval, NodeId> = BTreeMap::new();
            for ((lower, upper, slot), insert) in steps {
                if insert || model.is_empty() {
                    let place = tree.insert(&lower, upper.as_deref(), (slot, ALL));
                    let known = model.contains_key(&(lower.clone(), upper.clone(), slot));
                    prop_assert_eq!(place.is_none(), known);
                    model.extend(place.map(|place| ((lower, upper, slot), place)));
                } else {
                    let at = lower.len() * 7 + slot as usize;
                    let entry = model.keys().nth(at % model.len()).cloned().unwrap();
                    tree.remove(model[&entry], (entry.2, ALL));
                    model.remove(&entry);
                }
                tree.check(tree.root.0);
            }
            for key in keys {
                let expected = model
                    .keys()
                    .filter(|(lower, upper, _)| {
                        *lower <= key && upper.as_ref().is_none_or(|upper| key < *upper)
                    })
                    .map(|(_, _, slot)| *slot)
                    .collect::<BTreeSet<_>>();
                prop_assert_eq!(tree.found(&key).0, expected);
            }
            for ((_, _, slot), place) in model {
                tree.remove(place, (slot, ALL));
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
            tree.insert(&lower, Some(&upper), (n, ALL));
            let far = (4 * n + 1).to_be_bytes();
            let end = (4 * (count / 2)).to_be_bytes();
            if n < count / 2 {
                tree.insert(&far, Some(&end), (n, ALL));
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
    fn holders_of_one_interval_share_a_node() {
        let mut tree = IntervalTree::default();
        for slot in 0..100 {
            tree.insert(b"a", Some(b"b"), (slot, ALL));
        }
        assert_eq!(tree.nodes.len(), 1);
        assert_eq!(tree.found(b"a5").0.len(), 100);
    }
}
