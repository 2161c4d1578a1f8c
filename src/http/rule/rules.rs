//! Rules by host and path.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::Rule;
use super::conditional::Conditional;
use super::pattern::Pattern;
use super::settings::{self, RuleError};

/// All rules of a cache, read once. A request goes by the defaults with every rule laid over them that its host and path
/// match, one after the other.
pub struct Rules {
    defaults: Rc<Rule>,
    rules: Vec<Conditional>,
    /// Which rules matched and what they are together: there are as many as there are kinds of targets.
    resolved: RefCell<HashMap<Vec<u64>, Rc<Rule>>>,
}

/// How many sets of rules are remembered; beyond, they are put together anew for each request.
const MAX_RESOLVED: usize = 256;

impl Rules {
    /// Reads rules. `base` is what the defaults are laid over: [`Rule::default`], or what a driver's own settings say.
    ///
    /// ```
    /// use nearcache::http::rule::{Rule, Rules};
    ///
    /// let rules = Rules::from_json(
    ///     Rule::default(),
    ///     r#"{
    ///         "defaults": { "staleIfError": "1h" },
    ///         "rules": [
    ///             { "path": "/assets/*", "ttl": "1d", "key": { "query": { "drop": ["utm_*"] } } },
    ///             { "host": "api.example.com", "origin": "https://10-0-0-7.example.net", "bypass": true }
    ///         ]
    ///     }"#,
    /// )
    /// .unwrap();
    /// assert_eq!(rules.resolve("example.com", "/assets/a.css?utm_source=x").ttl_ms, Some(86_400_000));
    ///
    /// let error = Rules::from_json(Rule::default(), r#"{ "rules": [{ "path": "/", "tll": "1d" }] }"#).err().unwrap();
    /// assert_eq!(error.to_string(), "rules[0].tll is not known; did you mean ttl?");
    /// ```
    ///
    /// # Errors
    ///
    /// The first thing that is wrong: with its path, what is there and what is allowed.
    pub fn from_json(base: Rule, json: &str) -> Result<Self, RuleError> {
        let value = serde_json::from_str(json).map_err(|error| RuleError::Syntax(error.to_string()))?;
        Self::from_value(base, &value)
    }

    /// As [`from_json`](Self::from_json), of what another format (TOML, a JS object) has been read into.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn from_value(mut base: Rule, value: &serde_json::Value) -> Result<Self, RuleError> {
        let (defaults, rules) = settings::read(value)?;
        for edit in &defaults {
            edit(&mut base);
        }
        Ok(Self { defaults: Rc::new(base), rules, resolved: RefCell::default() })
    }

    /// What a request for this target goes by. Costs one look at each pattern.
    pub fn resolve(&self, host: &str, target: &str) -> Rc<Rule> {
        if self.rules.is_empty() {
            return self.defaults.clone();
        }
        let host = host.to_ascii_lowercase();
        let path = target.split('?').next().unwrap_or_default();
        let mut matched = vec![0_u64; self.rules.len().div_ceil(64)];
        for (index, rule) in self.rules.iter().enumerate() {
            let word = matched.get_mut(index / 64).filter(|_| rule.matches(&host, path));
            if let Some(word) = word {
                *word |= 1 << (index % 64);
            }
        }
        if let Some(rule) = self.resolved.borrow().get(&matched) {
            return rule.clone();
        }
        let mut rule = Rule::clone(&self.defaults);
        for (index, laid_over) in self.rules.iter().enumerate() {
            if matched.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0) {
                laid_over.edits.iter().for_each(|edit| edit(&mut rule));
            }
        }
        let rule = Rc::new(rule);
        let mut resolved = self.resolved.borrow_mut();
        if resolved.len() < MAX_RESOLVED {
            resolved.insert(matched, rule.clone());
        }
        rule
    }

    /// What requests for this target may go by, whatever their host: the rules for the hosts that rules name, and for any other.
    pub(in crate::http) fn on_every_host(&self, target: &str) -> Vec<Rc<Rule>> {
        // A pattern matches itself.
        let named = self.rules.iter().flat_map(|rule| &rule.hosts).map(Pattern::as_str);
        let mut hosts: Vec<&str> = std::iter::once("").chain(named).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.into_iter().map(|host| self.resolve(host, target)).collect()
    }

    /// Every origin that a rule names.
    pub fn origins(&self) -> Vec<String> {
        let mut origins: Vec<String> = self.defaults.origin.iter().cloned().collect();
        for conditional in &self.rules {
            let mut rule = Rule::clone(&self.defaults);
            conditional.edits.iter().for_each(|edit| edit(&mut rule));
            origins.extend(rule.origin.filter(|origin| !origins.contains(origin)));
        }
        origins
    }
}

impl From<Rule> for Rules {
    /// One rule for all.
    fn from(rule: Rule) -> Self {
        Self { defaults: Rc::new(rule), rules: Vec::new(), resolved: RefCell::default() }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rule::default().into()
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("defaults", &self.defaults)
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}
