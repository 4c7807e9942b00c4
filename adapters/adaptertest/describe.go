package adaptertest

import (
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
)

// describe checks the descriptor for itself and against the capabilities.
func (s *suite) describe() {
	s.t.Run("describe", func(t *testing.T) {
		for _, check := range []func() error{s.checkDeterministic, s.checkRegistered, s.checkWords, s.checkAuth, s.checkFields, s.checkEntities,
			s.checkCapabilities, s.checkCounts} {
			if err := check(); err != nil {
				s.failed["describe"] = true
				s.report(t, "describe", err)
			}
		}
	})
}

func (s *suite) checkDeterministic() error {
	one := s.harness.Adapter()
	first, second, other := one.Describe(), one.Describe(), s.harness.Adapter().Describe()
	if !reflect.DeepEqual(first, second) || !reflect.DeepEqual(first, other) {
		return broken(ruleDeterministic, "two calls differ:\n\t%+v\n\t%+v", first, other)
	}
	return nil
}

func (s *suite) checkRegistered() error {
	if err := new(enlace.Registry).Register(s.harness.Adapter()); err != nil {
		return broken(ruleDescriptor, "the registry refuses it: %v", err)
	}
	return nil
}

var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+][0-9A-Za-z.+-]+)?$`)

var features = []enlace.Feature{enlace.FeatureESignature, enlace.FeatureDocumentsSync, enlace.FeatureWebhooks, enlace.FeatureCRMSync,
	enlace.FeatureRealTimeSync, enlace.FeatureBulkOperations, enlace.FeatureEmailAutomation, enlace.FeatureContactsSync}

// checkWords checks what people read.
func (s *suite) checkWords() error {
	d := s.descriptor()
	if d.Title == "" || !semver.MatchString(d.Version) {
		return broken(ruleDescriptor, "Title is %q and Version %q; a title for people and a semantic version are needed", d.Title, d.Version)
	}
	if u, err := url.Parse(d.DocsURL); err != nil || u.Scheme != "https" || u.Host == "" {
		return broken(ruleDescriptor, "DocsURL %q is no https address", d.DocsURL)
	}
	if len(d.Features) == 0 {
		return broken(ruleDescriptor, "Features is empty: what is it for?")
	}
	for i, f := range d.Features {
		if !slices.Contains(features, f) || slices.Contains(d.Features[:i], f) {
			return broken(ruleDescriptor, "the feature %q is unknown or there twice", f)
		}
	}
	l := d.Limits
	if l.PerSecond < 0 || l.Burst < 0 || l.RunTime < 0 || (l.RunTime > 0) != (l.RunTimeWindow > 0) {
		return broken(ruleDescriptor, "Limits %+v: none is negative, and RunTime and RunTimeWindow come together", l)
	}
	return nil
}

// checkAuth checks the auth schemes.
func (s *suite) checkAuth() error {
	var names []string
	for _, scheme := range s.descriptor().Auth {
		name := scheme.Scheme()
		if slices.Contains(names, name) {
			return broken(ruleDescriptor, "two auth schemes have the name %q", name)
		}
		names = append(names, name)
		var place *enlace.Placement
		switch scheme := scheme.(type) {
		case enlace.APIKey:
			place = &scheme.Place
		case enlace.OAuth2:
			place = &scheme.Place
		case enlace.ClientCredentials:
			place = &scheme.Place
		case enlace.CustomAuth:
			if !s.can(enlace.CanAuthenticate) {
				return broken(ruleCapability, "the auth scheme %q is a CustomAuth, and the adapter is no Authenticator", name)
			}
		case enlace.SecretURL:
			if _, err := regexp.Compile(scheme.Pattern); err != nil {
				return broken(ruleDescriptor, "the pattern of the auth scheme %q: %v", name, err)
			}
		}
		if place != nil {
			places := slices.DeleteFunc([]string{place.Header, place.Query, place.Body}, func(p string) bool { return p == "" })
			if len(places) != 1 {
				return broken(ruleDescriptor, "the auth scheme %q needs exactly one of Header, Query and Body: %+v", name, *place)
			}
		}
		for _, f := range scheme.SecretFields() {
			if f.Name == "" || f.Label == "" {
				return broken(ruleDescriptor, "a secret of the auth scheme %q has no name or no label", name)
			}
		}
	}
	return nil
}

// checkFields checks the settings and their defaults.
func (s *suite) checkFields() error {
	var names []string
	for _, f := range s.descriptor().Settings {
		if f.Name == "" || f.Label == "" || slices.Contains(names, f.Name) {
			return broken(ruleDescriptor, "the setting %q has no name or label, or is there twice", f.Name)
		}
		names = append(names, f.Name)
		if f.Min > f.Max && f.Max != 0 || (f.Kind == enlace.FieldChoice) != (len(f.Choices) > 0) {
			return broken(ruleDescriptor, "the setting %q: its bounds cross, or its choices and its kind do not agree", f.Name)
		}
		if _, err := regexp.Compile(f.Pattern); err != nil {
			return broken(ruleDescriptor, "the pattern of the setting %q: %v", f.Name, err)
		}
	}
	return nil
}

// checkEntities checks the entities for themselves.
func (s *suite) checkEntities() error {
	known := []enlace.Operation{enlace.OpRead, enlace.OpCreate, enlace.OpUpdate, enlace.OpUpsert, enlace.OpDelete}
	for _, e := range s.descriptor().Entities {
		if e.Title == "" || len(e.Operations) == 0 {
			return broken(ruleDescriptor, "the entity %q has no Title or no Operations", e.Name)
		}
		for i, op := range e.Operations {
			if !slices.Contains(known, op) || slices.Contains(e.Operations[:i], op) {
				return broken(ruleDescriptor, "the operation %q of %s is unknown or there twice", op, e.Name)
			}
		}
		if !slices.Contains([]enlace.Incremental{enlace.IncrementalNone, enlace.IncrementalUpdates, enlace.IncrementalFull}, e.Incremental) {
			return broken(ruleDescriptor, "the entity %q is incremental %q, which is no degree", e.Name, e.Incremental)
		}
	}
	return nil
}

func (s *suite) can(c enlace.Capability) bool {
	return enlace.CapabilitiesOf(s.harness.Adapter()).Has(c)
}

// checkCapabilities compares claims with abilities.
func (s *suite) checkCapabilities() error {
	reads, writes := false, false
	d := s.descriptor()
	for _, e := range d.Entities {
		for _, op := range e.Operations {
			if op == enlace.OpRead {
				reads = true
				continue
			}
			writes = true
			if !s.can(enlace.CanPush) {
				return broken(ruleCapability, "%s has the operation %s, and the adapter is no Pusher", e.Name, op)
			}
		}
	}
	switch {
	case s.can(enlace.CanPull) && !reads:
		return broken(ruleCapability, "the adapter is a Puller, and no entity has the operation read")
	case s.can(enlace.CanPush) && !writes:
		return broken(ruleCapability, "the adapter is a Pusher, and no entity has an operation that writes")
	}
	for _, f := range []enlace.Feature{enlace.FeatureWebhooks, enlace.FeatureRealTimeSync} {
		if slices.Contains(d.Features, f) && !s.can(enlace.CanReceiveWebhooks) {
			return broken(ruleCapability, "the feature %s is claimed, and the adapter is no WebhookReceiver", f)
		}
	}
	if s.can(enlace.CanReceiveWebhooks) && !slices.Contains(d.Features, enlace.FeatureWebhooks) {
		return broken(ruleCapability, "the adapter is a WebhookReceiver, and the feature %s is not among its features", enlace.FeatureWebhooks)
	}
	return nil
}

// checkCounts checks that the harness says how many records there are.
func (s *suite) checkCounts() error {
	most := 0
	for name, n := range s.harness.Count {
		if e, ok := s.descriptor().Entity(name); !ok || !e.Can(enlace.OpRead) {
			return broken(ruleHarness, "Count has %q, which cannot be read", name)
		}
		most = max(most, n)
	}
	for _, e := range s.descriptor().Entities {
		if _, ok := s.harness.Count[e.Name]; !ok && e.Can(enlace.OpRead) && !strings.HasSuffix(e.Name, "*") {
			return broken(ruleHarness, "Count lacks %q, which can be read; without it a page that is left out would not be noticed", e.Name)
		}
	}
	if s.can(enlace.CanPull) && most < 3 {
		return broken(ruleHarness, "Count needs an entity with three records or more")
	}
	return nil
}
