package bitrix24test

import (
	"strings"
	"testing"
	"time"
)

func TestDatesAreThoseOfTheStandardLibrary(t *testing.T) {
	zones := []*time.Location{time.UTC, time.FixedZone("", -(3*3600 + 30*60)), time.FixedZone("", 14*3600)}
	for day := int64(-700_000); day < 2_900_000; day += 97 {
		at := time.Unix(day*86400+day%86400, 0).In(zones[int(day&0xff)%len(zones)])
		want := strings.Replace(at.Format(time.RFC3339), "Z", "+00:00", 1)
		if got := string(appendISO(nil, at.Unix(), at.Location())); got != want {
			t.Fatalf("%d is %s, want %s", at.Unix(), got, want)
		}
	}
	for day := int64(-200); day < 400; day++ { // every day of two years
		at := time.Unix(day*86400, 0).UTC()
		if year, month, dayOfMonth := civil(day); year != at.Year() || month != int(at.Month()) || dayOfMonth != at.Day() {
			t.Fatalf("day %d is %d-%d-%d, want %v", day, year, month, dayOfMonth, at)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0", time.Second: "1", 300 * time.Millisecond: "0.3", 90*time.Second + time.Microsecond: "90.000001", 999: "0"} {
		if got := string(appendSeconds(nil, d)); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

func TestHundredths(t *testing.T) {
	for amount, want := range map[int64][2]string{0: {"0.00", "0"}, 15050: {"150.50", "150.5"}, -5: {"-0.05", "-0.05"}, 7_00: {"7.00", "7"}, 12: {"0.12", "0.12"}} {
		if fixed, short := string(appendHundredths(nil, amount, true)), string(appendHundredths(nil, amount, false)); fixed != want[0] || short != want[1] {
			t.Errorf("%d is %s and %s, want %v", amount, fixed, short, want)
		}
	}
}
