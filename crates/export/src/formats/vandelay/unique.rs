use std::collections::HashMap;

/// Names that may exist only once, each in its scope.
#[derive(Default)]
pub(crate) struct Unique(HashMap<String, u32>);

impl Unique {
    pub(crate) fn claim(&mut self, scope: &str, name: &str) -> String {
        let counted = format!("{scope}\n{name}");
        let mut number = self.0.get(&counted).copied().unwrap_or_default();
        loop {
            number += 1;
            let free = if number == 1 { name.to_owned() } else { format!("{name} ({number})") };
            let key = format!("{scope}\n{free}");
            if free == name || !self.0.contains_key(&key) {
                self.0.entry(key).or_insert(1);
                self.0.insert(counted, number);
                return free;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let mut unique = Unique::default();
        let mut claim = |name| unique.claim("s", name);
        assert_eq!(
            ["a", "a", "a (2)", "a", "A", "a (2)"].map(&mut claim),
            ["a", "a (2)", "a (2) (2)", "a (3)", "A", "a (2) (3)"]
        );
        assert_eq!(unique.claim("t", "a"), "a");
    }
}
