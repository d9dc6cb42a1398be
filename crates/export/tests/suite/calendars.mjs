// Reads an iCalendar file with the library of Thunderbird, and prints when its events begin: calendars.mjs NODE_MODULES FILE COUNT
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, file, count] = process.argv.slice(2);
const ICAL = createRequire(`${modules}/`)("ical.js");
const calendar = new ICAL.Component(ICAL.parse(readFileSync(file, "utf8")));
for (const zone of calendar.getAllSubcomponents("vtimezone")) ICAL.TimezoneService.register(zone);

const begins = {};
for (const component of calendar.getAllSubcomponents("vevent")) {
    const event = new ICAL.Event(component);
    if (event.isRecurrenceException()) continue;
    const exceptions = calendar.getAllSubcomponents("vevent").filter(
        (other) => other.getFirstPropertyValue("uid") === event.uid && other.hasProperty("recurrence-id"),
    );
    exceptions.forEach((exception) => event.relateException(exception));
    const all = event.iterator();
    const found = [];
    for (let next = all.next(); next && found.length < Number(count); next = all.next()) {
        found.push(event.getOccurrenceDetails(next).startDate.toUnixTime());
    }
    begins[event.uid] = found;
}
console.log(JSON.stringify(begins));
