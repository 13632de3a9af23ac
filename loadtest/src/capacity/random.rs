//! Chance that can be repeated: the same seed, the same day.

/// SplitMix64: small, fast, and good enough for schedules.
#[derive(Debug, Clone)]
pub struct Random(u64);

/// Above this, counts are drawn from the normal distribution that they are close to.
const MANY: f64 = 64.0;

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Above 0, at most 1.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Below `bound`; 0 when there is nothing to choose from.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.unit() * bound as f64) as usize).min(bound.saturating_sub(1))
    }

    /// Until the next event of so many a unit of time; infinite when there are none.
    pub fn wait(&mut self, rate: f64) -> f64 {
        -self.unit().ln() / rate
    }

    /// Mean 0, deviation 1.
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// How many of them, when so many are expected.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean > MANY {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (floor, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > floor {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// How many of `count`, each with this chance; never more than there are.
    pub fn binomial(&mut self, count: u64, chance: f64) -> u64 {
        let (mean, chance) = (count as f64 * chance, chance.clamp(0.0, 1.0));
        if chance == 1.0 || mean >= count as f64 {
            return count;
        }
        if count as f64 > MANY {
            if mean > MANY && count as f64 - mean > MANY {
                let deviation = (mean * (1.0 - chance)).sqrt();
                return ((mean + deviation * self.normal()).round().max(0.0) as u64).min(count);
            }
            if mean <= MANY {
                return self.poisson(mean).min(count);
            }
            return count - self.poisson(count as f64 - mean).min(count);
        }
        (0..count).filter(|_| self.unit() <= chance).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_met_and_seeds_repeat() {
        let mean = |mut draw: Box<dyn FnMut(&mut Random) -> f64>| {
            let mut random = Random::new(7);
            (0..20_000).map(|_| draw(&mut random)).sum::<f64>() / 20_000.0
        };
        for expected in [0.3, 5.0, 500.0] {
            let measured = mean(Box::new(move |random| random.poisson(expected) as f64));
            assert!((measured / expected - 1.0).abs() < 0.05, "{measured} for {expected}");
        }
        for (count, chance) in [(10, 0.3), (10_000, 0.001), (10_000, 0.4), (10_000, 0.999)] {
            let measured = mean(Box::new(move |random| random.binomial(count, chance) as f64));
            let expected = count as f64 * chance;
            assert!((measured / expected - 1.0).abs() < 0.05, "{measured} for {expected}");
        }
        assert!((mean(Box::new(|random| random.wait(4.0))) - 0.25).abs() < 0.01);
        assert_eq!(Random::new(3).next(), Random::new(3).next());
    }

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        let mut random = Random::new(1);
        for count in [0, 1, 63, 65, 1_000_000] {
            for chance in [0.0, 0.01, 0.5, 0.99, 1.0] {
                assert!(random.binomial(count, chance) <= count);
            }
            assert_eq!(random.binomial(count, 1.0), count);
            assert_eq!(random.binomial(count, 0.0), 0);
        }
    }
}
