//! Lines of iCalendar (RFC 5545, 7986, 9073, 9253) and of vCard (RFC 6350), put by CalDAV and CardDAV: programs write these, and a server
//! makes its JSON of them.

use model::DataType::{CalendarEvent, ContactCard};

use super::{Case, LINES, Made, ODD};

fn text(
    component: &'static str,
    property: &'static str,
    oddity: &'static str,
    lines: &str,
    beside: &'static str,
) -> Case {
    let data_type = if component == "VCARD" { ContactCard } else { CalendarEvent };
    Case { data_type, property, oddity, made: Made::Text { component, lines: lines.to_owned(), beside } }
}

pub(super) fn cases() -> Vec<Case> {
    [events(), series(), components(), tasks(), cards()].concat()
}

/// As RFC 5545 section 3.3.11 writes a text.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace([','], "\\,").replace(';', "\\;").replace('\n', "\\n")
}

/// Lines beside `DTSTART` of one event.
fn events() -> Vec<Case> {
    let of = |property, oddity, lines: &str| {
        text(
            "VEVENT",
            property,
            oddity,
            &format!("DTSTART:20260505T100000Z\nDTEND:20260505T110000Z\n{lines}"),
            "",
        )
    };
    vec![
        of(
            "DESCRIPTION",
            "odd",
            &format!(
                "DESCRIPTION;LANGUAGE=de;ALTREP=\"cid:x@example.org\":{}",
                escaped(&format!("{ODD}{LINES}"))
            ),
        ),
        of(
            "ATTACH",
            "uri",
            "ATTACH;FMTTYPE=application/pdf;FILENAME=a.pdf;SIZE=12:https://example.org/a.pdf",
        ),
        of("ATTACH", "binary", "ATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY:d29yZHM="),
        of("CATEGORIES", "two lines", "CATEGORIES:A,B\nCATEGORIES;LANGUAGE=de:Ä\\,x"),
        of("CLASS", "confidential", "CLASS:CONFIDENTIAL"),
        of("COMMENT", "two", "COMMENT:one\nCOMMENT;LANGUAGE=de:zwei"),
        of("CONTACT", "set", "CONTACT;ALTREP=\"https://example.org/c\":Jim Dolittle\\, ABC"),
        of("GEO", "set", "GEO:37.386013;-122.082932"),
        of("LOCATION", "set", "LOCATION;ALTREP=\"https://example.org/room\":Conference Room\\, F123"),
        of("PRIORITY", "set", "PRIORITY:2"),
        of("RESOURCES", "set", "RESOURCES:EASEL,PROJECTOR"),
        of("STATUS", "tentative", "STATUS:TENTATIVE"),
        of("TRANSP", "transparent", "TRANSP:TRANSPARENT"),
        of("URL", "set", "URL:https://example.org/x?y=1"),
        of("RELATED-TO", "set", "RELATED-TO;RELTYPE=SIBLING:other@example.org"),
        of("REQUEST-STATUS", "set", "REQUEST-STATUS:2.0;Success"),
        of("SEQUENCE", "set", "SEQUENCE:4"),
        of("CREATED", "set", "CREATED:19960329T133000Z"),
        of("X-PROP", "set", "X-MICROSOFT-CDO-BUSYSTATUS:OOF\nX-ODD;X-P=\"a;b\":v"),
        of("IANA-PROP", "set", "DRESSCODE:CASUAL"),
        of("COLOR", "set", "COLOR:turquoise"),
        of("IMAGE", "set", "IMAGE;VALUE=URI;DISPLAY=BADGE;FMTTYPE=image/png:https://example.org/a.png"),
        of(
            "CONFERENCE",
            "set",
            "CONFERENCE;VALUE=URI;FEATURE=PHONE,MODERATOR;LABEL=Host:tel:+1-412-555-0123",
        ),
        of("STYLED-DESCRIPTION", "set", "STYLED-DESCRIPTION;VALUE=TEXT;FMTTYPE=text/html:<p>words</p>"),
        of(
            "STRUCTURED-DATA",
            "set",
            "STRUCTURED-DATA;FMTTYPE=application/ld+json;SCHEMA=\"https://schema.org/X\";VALUE=TEXT:{\\\"a\\\":1}",
        ),
        of("LINK", "set", "LINK;VALUE=URI;LINKREL=\"https://example.org/rel\":https://example.org/l"),
        of("CONCEPT", "set", "CONCEPT:https://example.org/concept/1"),
        of("REFID", "set", "REFID:itinerary-2026"),
        of(
            "SUMMARY",
            "parameters",
            "X-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC\nX-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-APPLE-RADIUS=70;X-TITLE=Hall:geo:1.0,2.0",
        ),
    ]
}

const ZONE: &str = "BEGIN:VTIMEZONE\nTZID:Own\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0330\nTZOFFSETTO:+0330\nTZNAME:OWN\nEND:STANDARD\nEND:VTIMEZONE\n";
const LATER: &str = "BEGIN:VEVENT\nUID:{}\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID:20260512T100000Z\nDTSTART:20260513T100000Z\nSUMMARY:Moved\nCOMMENT:because\nX-OWN:y\nBEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:x\nTRIGGER:-PT7M\nEND:VALARM\nEND:VEVENT\n";
const DAY_LATER: &str = "BEGIN:VEVENT\nUID:{}\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID;VALUE=DATE:20260512\nDTSTART;VALUE=DATE:20260513\nSUMMARY:Moved\nEND:VEVENT\n";
const ALL_LATER: &str = "BEGIN:VEVENT\nUID:{}\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260512T100000Z\nDTSTART:20260512T110000Z\nSUMMARY:From then on\nEND:VEVENT\n";

fn series() -> Vec<Case> {
    let weekly = "DTSTART:20260505T100000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=8";
    let day = "DTSTART;VALUE=DATE:20260505\nRRULE:FREQ=WEEKLY;COUNT=8";
    let of = |property, oddity, lines: &str, beside| text("VEVENT", property, oddity, lines, beside);
    vec![
        of("DTSTART", "date", "DTSTART;VALUE=DATE:20260505", ""),
        of("DTEND", "dates", "DTSTART;VALUE=DATE:20260505\nDTEND;VALUE=DATE:20260508", ""),
        of(
            "DTEND",
            "another zone",
            "DTSTART;TZID=Europe/Berlin:20260505T100000\nDTEND;TZID=America/New_York:20260505T120000",
            "",
        ),
        of("DTSTART", "floating", "DTSTART:20260505T100000\nDURATION:P1DT1H", ""),
        of("DTSTART", "own zone", "DTSTART;TZID=Own:20260505T100000\nDTEND;TZID=Own:20260505T110000", ZONE),
        of("RRULE", "set", weekly, ""),
        of(
            "RRULE",
            "odd",
            "DTSTART:20260505T100000Z\nDURATION:PT1H\nRRULE:FREQ=MONTHLY;INTERVAL=2;BYDAY=1MO,-1FR;BYSETPOS=1;WKST=SU;UNTIL=20271231T100000Z",
            "",
        ),
        of("RRULE", "two", &format!("{weekly}\nRRULE:FREQ=MONTHLY;COUNT=3"), ""),
        of("EXRULE", "set", &format!("{weekly}\nEXRULE:FREQ=MONTHLY;COUNT=3"), ""),
        of("RDATE", "set", &format!("{weekly}\nRDATE:20260506T100000Z,20260507T100000Z"), ""),
        of("RDATE", "period", &format!("{weekly}\nRDATE;VALUE=PERIOD:20260506T100000Z/PT3H"), ""),
        of("EXDATE", "set", &format!("{weekly}\nEXDATE:20260519T100000Z"), ""),
        of("EXDATE", "date", &format!("{day}\nEXDATE;VALUE=DATE:20260519"), ""),
        of("RECURRENCE-ID", "set", weekly, LATER),
        of("RECURRENCE-ID", "date", day, DAY_LATER),
        of("RECURRENCE-ID", "range", weekly, ALL_LATER),
    ]
}

/// Components within one event.
fn components() -> Vec<Case> {
    let of = |property, oddity, lines: &str| {
        text("VEVENT", property, oddity, &format!("DTSTART:20260505T100000Z\n{lines}"), "")
    };
    vec![
        of(
            "VALARM",
            "display",
            "BEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:Wake\\, up\nTRIGGER:-PT15M\nREPEAT:2\nDURATION:PT5M\nEND:VALARM",
        ),
        of(
            "VALARM",
            "audio",
            "BEGIN:VALARM\nACTION:AUDIO\nATTACH;FMTTYPE=audio/basic:https://example.org/a.au\nTRIGGER;VALUE=DATE-TIME:20260505T080000Z\nEND:VALARM",
        ),
        of(
            "VALARM",
            "email",
            "BEGIN:VALARM\nACTION:EMAIL\nSUMMARY:Soon\nDESCRIPTION:words\nATTENDEE:mailto:me@example.org\nTRIGGER;RELATED=END:PT5M\nEND:VALARM",
        ),
        of(
            "VALARM",
            "unusual",
            "BEGIN:VALARM\nUID:alarm-1\nACTION:X-BEEP\nTRIGGER:-P1D\nACKNOWLEDGED:20260504T100000Z\nX-OWN:y\nEND:VALARM",
        ),
        of(
            "VALARM",
            "proximity",
            "BEGIN:VALARM\nUID:alarm-2\nACTION:DISPLAY\nDESCRIPTION:x\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z\nPROXIMITY:DEPART\nEND:VALARM",
        ),
        of(
            "VLOCATION",
            "set",
            "BEGIN:VLOCATION\nUID:loc-1\nNAME:Hall\nLOCATION-TYPE:hall\nX-OWN:y\nEND:VLOCATION",
        ),
        of(
            "VRESOURCE",
            "set",
            "BEGIN:VRESOURCE\nUID:res-1\nNAME:Projector\nRESOURCE-TYPE:PROJECTOR\nEND:VRESOURCE",
        ),
        of(
            "PARTICIPANT",
            "set",
            "BEGIN:PARTICIPANT\nUID:part-1\nPARTICIPANT-TYPE:SPEAKER\nSUMMARY:Zoë\nEND:PARTICIPANT",
        ),
        of(
            "ATTENDEE",
            "set",
            "ORGANIZER;CN=Me:mailto:{address}\nATTENDEE;CN=\"Zoë, B\";ROLE=OPT-PARTICIPANT;PARTSTAT=DECLINED;CUTYPE=ROOM;X-OWN=y:mailto:{address}",
        ),
    ]
}

fn tasks() -> Vec<Case> {
    let task = |property, oddity, lines: &str| text("VTODO", property, oddity, lines, "");
    let journal = |property, oddity, lines: &str| text("VJOURNAL", property, oddity, lines, "");
    vec![
        task("DUE", "set", "DUE;TZID=Europe/Berlin:20260601T180000"),
        task("DUE", "date", "DTSTART;VALUE=DATE:20260601\nDUE;VALUE=DATE:20260602"),
        task("DURATION", "set", "DTSTART:20260601T180000Z\nDURATION:PT4H"),
        task("COMPLETED", "set", "COMPLETED:20260501T120000Z\nSTATUS:COMPLETED\nPERCENT-COMPLETE:100"),
        task("PERCENT-COMPLETE", "set", "PERCENT-COMPLETE:55\nSTATUS:IN-PROCESS"),
        task("ESTIMATED-DURATION", "set", "ESTIMATED-DURATION:PT1H"),
        task(
            "VALARM",
            "set",
            "DUE:20260601T180000Z\nBEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:x\nTRIGGER;RELATED=END:-PT1H\nEND:VALARM",
        ),
        journal("DTSTART", "set", "DTSTART;VALUE=DATE:20260505"),
        journal(
            "DESCRIPTION",
            "two",
            "DTSTART;VALUE=DATE:20260505\nDESCRIPTION:one\nDESCRIPTION:two\nSTATUS:DRAFT\nX-OWN:y",
        ),
    ]
}

fn cards() -> Vec<Case> {
    let of = |property, oddity, lines: &str| text("VCARD", property, oddity, lines, "");
    vec![
        of("N", "set", "N;SORT-AS=\"Ö,Zoë\":van der Ö,Ñandú;Zoë,Å.;X;Dr.;Jr.,M.D."),
        of("GENDER", "set", "GENDER:O;it's complicated"),
        of("BDAY", "text", "BDAY;VALUE=text:circa 1800"),
        of(
            "BDAY",
            "partial",
            "BDAY:--0415\nBIRTHPLACE:at home\nDEATHDATE:20190101\nDEATHPLACE;VALUE=uri:geo:1.0,2.0\nANNIVERSARY:20090808T1430-0500",
        ),
        of(
            "ADR",
            "label",
            "ADR;LABEL=\"100 Waters Edge\\nBaytown\";GEO=\"geo:1,2\";TZ=-0500;TYPE=home;PREF=1:;;100 Waters Edge;Baytown;LA;70884;USA",
        ),
        of(
            "TEL",
            "set",
            "TEL;VALUE=uri;PREF=1;TYPE=\"voice,home\":tel:+1-555-555-5555;ext=5555\nTEL;TYPE=fax:0123",
        ),
        of("PHOTO", "data", "PHOTO:data:image/png;base64,iVBORw0KGgo="),
        of("KEY", "text", "KEY;VALUE=text:ssh-ed25519 AAAA"),
        of(
            "ORG",
            "units",
            "ORG:ABC\\, Inc.;North;Marketing\nTITLE:Scientist\nROLE:Lead\nLOGO:https://example.org/l.png",
        ),
        of("RELATED", "text", "RELATED;TYPE=co-worker;VALUE=text:Please contact my assistant."),
        of("CATEGORIES", "set", "CATEGORIES:INTERNET,a\\,b"),
        of("NOTE", "odd", &format!("NOTE;LANGUAGE=de:{}", escaped(&format!("{ODD}{LINES}")))),
        of("group", "set", "item1.EMAIL:a@example.org\nitem1.X-ABLabel:Büro"),
        of("X-PROP", "set", "X-SOCIALPROFILE;TYPE=twitter:https://example.org/a\nX-ODD;X-P=\"a;b\":v"),
        of(
            "CLIENTPIDMAP",
            "set",
            "EMAIL;PID=1.1:a@example.org\nCLIENTPIDMAP:1;urn:uuid:53e374d9-337e-4727-8803-a1e9c14e0556",
        ),
        of("XML", "set", "XML:<x xmlns=\"https://example.org\">y</x>"),
        of(
            "SOUND",
            "set",
            "SOUND:https://example.org/s.ogg\nTZ:Europe/Berlin\nGEO:geo:1.0,2.0\nFBURL:https://example.org/fb\nCALADRURI:mailto:a@example.org\nCALURI:https://example.org/c\nIMPP:xmpp:a@example.org\nSOURCE:ldap://example.org/a",
        ),
        of(
            "LANG",
            "set",
            "LANG;PREF=1:fr\nLANG:de\nNICKNAME:Jim,Jimmie\nURL:https://example.org\nMEMBER:urn:uuid:1\nKIND:group\nREV:19951031T222710Z",
        ),
    ]
}
