package admin

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// zones are the time zones to choose from. Brazil has had no summer time since
// 2019, so each zone has an offset in case the machine has no time zone files.
var zones = map[string]time.Duration{
	"America/Noronha": -2 * time.Hour, "America/Sao_Paulo": -3 * time.Hour, "America/Manaus": -4 * time.Hour,
	"America/Rio_Branco": -5 * time.Hour, "UTC": 0,
}

var zoneNames = []string{"America/Noronha", "America/Sao_Paulo", "America/Manaus", "America/Rio_Branco", "UTC"}

var homeZone = map[string]string{portuguese: "America/Sao_Paulo", english: "UTC"}

func location(zone string) *time.Location {
	if loaded, err := time.LoadLocation(zone); err == nil {
		return loaded
	}
	return time.FixedZone(zone, int(zones[zone].Seconds()))
}

// number writes n with the language's marks between thousands.
func (t translator) number(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	mark := ","
	if t == portuguese {
		mark = "."
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + mark + digits[i:]
	}
	return sign + digits
}

// decimal writes f with so many digits behind the language's mark.
func (t translator) decimal(f float64, digits int) string {
	text := strconv.FormatFloat(f, 'f', digits, 64)
	whole, rest, fraction := strings.Cut(text, ".")
	if n, err := strconv.Atoi(whole); err == nil && n != 0 {
		whole = t.number(n)
	}
	if !fraction {
		return whole
	}
	if t == portuguese {
		return whole + "," + rest
	}
	return whole + "." + rest
}

// percent writes a share from 0 to 1.
func (t translator) percent(share float64) string {
	if share == 1 || share == 0 {
		return t.decimal(share*100, 0) + "%"
	}
	return t.decimal(share*100, 1) + "%"
}

// duration writes d in the unit that suits it.
func (t translator) duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Millisecond:
		return t.decimal(float64(d.Microseconds())/1000, 1) + " ms"
	case d < time.Second:
		return t.number(int(d.Milliseconds())) + " ms"
	case d < time.Minute:
		return t.decimal(d.Seconds(), 1) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return t.count("time.days", int(d.Hours())/24)
	}
}

// ago writes how long ago, or in how long, something is.
func (t translator) ago(d time.Duration) string {
	form := "time.ago"
	if d < 0 {
		d, form = -d, "time.in"
	}
	switch {
	case d < 5*time.Second:
		return t.text("time.now")
	case d < time.Minute:
		return t.text(form, fmt.Sprintf("%d s", int(d.Seconds())))
	case d < time.Hour:
		return t.text(form, fmt.Sprintf("%d min", int(d.Minutes())))
	case d < 24*time.Hour:
		return t.text(form, fmt.Sprintf("%d h", int(d.Hours())))
	default:
		return t.text(form, t.count("time.days", int(d.Hours())/24))
	}
}

// date writes an instant of the zone in the language's order.
func (t translator) date(at time.Time, layout string) string {
	if t == portuguese {
		return at.Format(strings.Replace(layout, "2006-01-02", "02/01/2006", 1))
	}
	return at.Format(layout)
}
