package enlace

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace/internal/guard"
)

// FieldKind is what a setting's value looks like. Values are kept as text.
type FieldKind string

// The kinds of fields.
const (
	FieldText         FieldKind = ""             // any text without control characters, 1,000 bytes at most
	FieldInteger      FieldKind = "integer"      // decimal, within Min and Max
	FieldBoolean      FieldKind = "boolean"      // true or false
	FieldURL          FieldKind = "url"          // absolute http or https URL without user, query and fragment
	FieldHost         FieldKind = "host"         // a host name, with a port if it is not the usual one
	FieldChoice       FieldKind = "choice"       // one of Choices
	FieldMilliseconds FieldKind = "milliseconds" // decimal, within Min and Max
	FieldNetworks     FieldKind = "networks"     // IP addresses and networks, separated by commas
)

// Field describes one non-secret setting: enough to validate it, to make a form
// for it and to document it.
type Field struct {
	Name     string // key in Integration.Settings
	Label    string // for people
	Help     string
	Kind     FieldKind
	Default  string // used when the setting is absent; must be valid itself
	Required bool   // absent or empty is a fault
	Choices  []string
	Min, Max int64  // for integers and milliseconds; both 0 is no bound
	Pattern  string // regular expression for text; matched against the whole value
}

// CommonSettings are the settings that every integration has:
//
//   - apiUrl replaces the adapter's base URL (a sandbox, a self-hosted provider, a fake)
//   - timeout bounds one attempt of a request, in milliseconds
//   - retryAttempts is how often a request may be repeated after its first try
//   - webhookAllow lists the addresses and networks from which webhooks are taken,
//     separated by commas; absent is all
//   - healthInterval is how often the account is checked, in milliseconds; empty is Config.HealthInterval
//   - environment chooses one of the provider's [Environment]s, if it has several
func CommonSettings() []Field {
	return []Field{
		{Name: "apiUrl", Label: "API address", Kind: FieldURL, Help: "Replaces the provider's usual address."},
		{Name: "timeout", Label: "Timeout (ms)", Kind: FieldMilliseconds, Default: "30000", Min: 100, Max: 600000,
			Help: "Bound of one attempt of a request, in milliseconds."},
		{Name: "retryAttempts", Label: "Retries", Kind: FieldInteger, Default: "3", Min: 0, Max: 10,
			Help: "How often a request may be repeated after its first try."},
		{Name: allowSetting, Label: "Webhook sources", Kind: FieldNetworks,
			Help: "Addresses and networks from which webhooks are taken, separated by commas; empty takes them from everywhere."},
		{Name: "healthInterval", Label: "Health check every (ms)", Kind: FieldMilliseconds, Min: 5000, Max: 86400000,
			Help: "How often the account is checked, in milliseconds; empty for the usual interval."},
	}
}

// allowSetting names the setting with the sources of webhooks.
const allowSetting = "webhookAllow"

// commonSettings are CommonSettings, and "environment" where there is a choice.
func (d Descriptor) commonSettings() []Field {
	fields := CommonSettings()
	if len(d.Environments) == 0 {
		return fields
	}
	choice := Field{Name: "environment", Label: "Environment", Kind: FieldChoice, Default: d.Environments[0].Name}
	for _, e := range d.Environments {
		choice.Choices = append(choice.Choices, e.Name)
	}
	return append(fields, choice)
}

// placeholders are what may stand in the URLs of the descriptor: the settings and
// the values of the chosen environment.
func (d Descriptor) placeholders(s settings) map[string]string {
	values := maps.Clone(s)
	for _, e := range d.Environments {
		if e.Name == s["environment"] {
			maps.Copy(values, e.Values)
		}
	}
	return values
}

// followsSettings says whether a template's address is whatever a setting says, and
// not one of those that the adapter names itself.
func (d Descriptor) followsSettings(template string) bool {
	for _, p := range placeholder.FindAllString(template, -1) {
		name := p[1 : len(p)-1]
		named := slices.ContainsFunc(d.Environments, func(e Environment) bool { _, ok := e.Values[name]; return ok }) ||
			slices.ContainsFunc(d.Settings, func(f Field) bool { return f.Name == name && f.Kind == FieldChoice })
		if !named {
			return true
		}
	}
	return false
}

// check says what is wrong with a value: the problem and what is allowed, or two
// empty strings.
func (f Field) check(value string) (problem, allowed string) {
	switch f.Kind {
	case FieldInteger, FieldMilliseconds:
		return f.checkNumber(value)
	case FieldBoolean:
		if value != "true" && value != "false" {
			return "not a boolean", "true, false"
		}
	case FieldChoice:
		if !slices.Contains(f.Choices, value) {
			return "not one of the choices", strings.Join(f.Choices, ", ")
		}
	case FieldURL:
		if _, err := parseBaseURL(value); err != nil {
			return err.Error(), "an absolute https URL without user, query and fragment"
		}
	case FieldNetworks:
		if networks, ok := guard.ParseNetworks(value); !ok || len(networks) == 0 {
			return "not a list of addresses and networks", "such as 192.0.2.1, 198.51.100.0/24"
		}
	case FieldHost:
		if u, err := url.Parse("https://" + value); err != nil || u.Host != value || u.Hostname() == "" {
			return "not a host name", "a host such as acme.example.com"
		}
	default:
		return f.checkText(value)
	}
	return "", ""
}

func (f Field) checkNumber(value string) (problem, allowed string) {
	bounds := "a whole number"
	if f.Min != 0 || f.Max != 0 {
		bounds = fmt.Sprintf("a whole number from %d to %d", f.Min, f.Max)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return "not a whole number", bounds
	}
	if (f.Min != 0 || f.Max != 0) && (n < f.Min || n > f.Max) {
		return "out of range", bounds
	}
	return "", ""
}

func (f Field) checkText(value string) (problem, allowed string) {
	if len(value) > 1000 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }) {
		return "too long or with control characters", "one line of at most 1,000 bytes"
	}
	if f.Pattern != "" {
		if re, err := regexp.Compile(`^(?:` + f.Pattern + `)$`); err != nil || !re.MatchString(value) {
			return "not of the expected form", f.Pattern
		}
	}
	return "", ""
}

// parseBaseURL accepts what may stand before a relative path.
func parseBaseURL(value string) (*url.URL, error) {
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return nil, fmt.Errorf("not a URL") // the cause would repeat the value
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("not an http or https URL")
	case u.Hostname() == "":
		return nil, fmt.Errorf("without a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("with a user, a query or a fragment")
	}
	return u, nil
}

// settings are validated settings with the defaults filled in.
type settings map[string]string

func (s settings) milliseconds(name string) time.Duration {
	n, _ := strconv.ParseInt(s[name], 10, 64)
	return time.Duration(n) * time.Millisecond
}

func (s settings) integer(name string) int {
	n, _ := strconv.Atoi(s[name])
	return n
}

// resolveSettings validates the settings and fills in the defaults. Every fault
// is in the one error.
func resolveSettings(d Descriptor, given map[string]string) (settings, error) {
	var faults ValidationError
	resolved := settings{}
	fields := append(d.commonSettings(), d.Settings...)
	for _, f := range fields {
		value := given[f.Name]
		if value == "" {
			value = f.Default
		}
		if value == "" {
			if f.Required {
				faults.add(f.Name, "missing", f.Help)
			}
			continue
		}
		if problem, allowed := f.check(value); problem != "" {
			faults.add(f.Name, problem, allowed)
			continue
		}
		resolved[f.Name] = value
	}
	for name := range given {
		if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
			faults.add(name, "unknown setting", fieldNames(fields))
		}
	}
	slices.SortFunc(faults.Faults, func(a, b Fault) int { return strings.Compare(a.Field, b.Field) })
	return resolved, faults.orNil()
}

func fieldNames(fields []Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// expand fills the {placeholders} of a template from the settings. A
// placeholder without a value is an error that names it.
func expand(template string, values map[string]string) (string, error) {
	var missing string
	out := placeholder.ReplaceAllStringFunc(template, func(p string) string {
		name := p[1 : len(p)-1]
		v, ok := values[name]
		if !ok && missing == "" {
			missing = name
		}
		return v
	})
	if missing != "" {
		return "", &ValidationError{Faults: []Fault{{Field: missing, Problem: "missing", Allowed: "a value for the address " + template}}}
	}
	return out, nil
}

var placeholder = regexp.MustCompile(`\{[A-Za-z_]+\}`)
