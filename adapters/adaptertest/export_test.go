package adaptertest

import (
	"strings"
	"testing"
)

// CheckDocumented is Documented for a file that may be wrong.
var CheckDocumented = documented

// Failures makes the checks whose names begin with only, until one reports
// something with those words. It returns all that was reported until then.
func Failures(t *testing.T, h Harness, only, words string) (failures []string, found bool) {
	s := &suite{t: t, harness: h, only: only, failed: map[string]bool{}}
	s.report = func(_ *testing.T, check string, err error) {
		failures = append(failures, check+": "+err.Error())
		if strings.Contains(err.Error(), words) {
			found, s.enough = true, true
		}
	}
	s.run()
	return failures, found
}
