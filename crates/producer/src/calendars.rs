use std::collections::HashMap;

use model::Timestamp;
use planning::{Calendar, Moment, zone};

/// The calendar in the service's time zone, and in those of mailboxes.
pub(crate) struct Calendars {
    settings: planning::Settings,
    usual: Calendar,
}

impl Calendars {
    pub(crate) fn new(settings: planning::Settings, time_zone: &str) -> Result<Calendars, planning::Error> {
        let usual = Calendar::new(settings, zone(time_zone)?)?;
        Ok(Calendars { settings, usual })
    }

    /// That of the service.
    pub(crate) fn usual(&self) -> &Calendar {
        &self.usual
    }

    pub(crate) fn at(&self, now: Timestamp) -> Moments<'_> {
        Moments { now, calendars: self, usual: self.usual.at(now), zones: HashMap::new() }
    }
}

/// One instant in all time zones that were asked for.
pub(crate) struct Moments<'a> {
    now: Timestamp,
    calendars: &'a Calendars,
    usual: Moment,
    /// `None`: a name that this build does not know, which is planned in the service's zone.
    zones: HashMap<String, Option<Moment>>,
}

impl Moments<'_> {
    pub(crate) fn of(&mut self, time_zone: Option<&str>) -> &Moment {
        let Some(name) = time_zone else { return &self.usual };
        if !self.zones.contains_key(name) {
            let moment = self.moment_in(name);
            self.zones.insert(name.to_owned(), moment);
        }
        self.zones[name].as_ref().unwrap_or(&self.usual)
    }

    fn moment_in(&self, name: &str) -> Option<Moment> {
        let calendar = zone(name).and_then(|zone| Calendar::new(self.calendars.settings, zone));
        match calendar {
            Ok(calendar) => Some(calendar.at(self.now)),
            Err(error) => {
                tracing::warn!(%error, "mailboxes in a time zone that is unknown are planned in the service's");
                None
            }
        }
    }
}
