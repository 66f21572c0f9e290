//! Words of a description, in Spanish and English: small letters, no accents, no punctuation but what numbers and times hold.

/// A description, word by word.
#[derive(Debug)]
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let folded: String = text.chars().flat_map(char::to_lowercase).map(plain).collect();
        let apart = |letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, ':' | '*' | '/' | ',' | '-' | '_' | '.' | '@'));
        let words = folded.split(apart).map(|word| {
            // A comma or point at its end belongs to the sentence; within, to a number.
            word.trim_matches([',', '.', ':', '-', '_']).to_owned()
        });
        Self(words.filter(|word| !word.is_empty()).collect())
    }

    pub(super) fn get(&self, place: usize) -> &str {
        self.0.get(place).map_or("", String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The place of the first of these phrases, each of words with a blank between.
    pub(super) fn find(&self, phrases: &[&str]) -> Option<usize> {
        (0..self.len()).find(|place| phrases.iter().any(|phrase| self.is_at(*place, phrase)))
    }

    /// Whether a phrase stands at a place. A word that ends with `*` is the beginning of one.
    pub(super) fn is_at(&self, place: usize, phrase: &str) -> bool {
        phrase.split(' ').enumerate().all(|(index, wanted)| {
            let found = self.get(place + index);
            match wanted.strip_suffix('*') {
                Some(beginning) => found.starts_with(beginning),
                None => found == wanted,
            }
        })
    }

    pub(super) fn has(&self, phrases: &[&str]) -> bool {
        self.find(phrases).is_some()
    }
}

fn plain(letter: char) -> char {
    match letter {
        'á' | 'à' | 'ä' | 'â' | 'ã' => 'a',
        'é' | 'è' | 'ë' | 'ê' => 'e',
        'í' | 'ì' | 'ï' | 'î' => 'i',
        'ó' | 'ò' | 'ö' | 'ô' | 'õ' => 'o',
        'ú' | 'ù' | 'ü' | 'û' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        other => other,
    }
}

/// A text on one line, of at most so many letters, without those that nobody sees and that turn a line about.
pub(super) fn line(text: &str, most: usize) -> String {
    let unseen = |letter: &char| {
        letter.is_control() || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let words: Vec<_> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|letter| !unseen(letter)).collect();
    match line.char_indices().nth(most) {
        None => line,
        Some((end, _)) => line[..end].trim_end().to_owned(),
    }
}

/// Letters and digits with `-` between, for a path or a name of a file; never empty.
pub(super) fn slug(text: &str, most: usize) -> String {
    let mut slug = String::new();
    for letter in text.chars().flat_map(char::to_lowercase).map(plain) {
        match letter.is_ascii_alphanumeric() {
            true => slug.push(letter),
            false if slug.ends_with('-') || slug.is_empty() => {}
            false => slug.push('-'),
        }
        if slug.len() >= most {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "workflow".to_owned() } else { slug.to_owned() }
}
