#!/usr/bin/env python3
"""Prints how many tests ran and the slowest of them, from nextest's JUnit report: slowest.py REPORT [HOW_MANY]."""
import sys
import xml.etree.ElementTree as xml

report = xml.parse(sys.argv[1]).getroot()
many = int(sys.argv[2]) if len(sys.argv) > 2 else 30
cases = [
    (float(case.get("time", 0)), f"{suite.get('name')} {case.get('name')}")
    for suite in report.iter("testsuite")
    for case in suite.iter("testcase")
]
cases.sort(reverse=True)
print(f"{len(cases)} tests, {sum(seconds for seconds, _ in cases):.0f} s of tests; the slowest:")
for seconds, name in cases[:many]:
    print(f"{seconds:8.1f} s  {name}")
