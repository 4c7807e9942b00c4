package env

import (
	"maps"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

// Credential returns what opens the provider's account, by the auth scheme whose
// variables are set. It is for [enlace.Service.Connect] at each start.
//
// The code flow of [enlace.OAuth2] is left out: its account is opened by a person
// and kept open by tokens that change; only its app is in the environment, see
// [Source.OAuth].
//
// Errors: one that matches [enlace.ErrNoCredential] if nothing is set, which a
// host may take for "not connected this way"; an [*enlace.ValidationError] with
// the names of the variables if some are missing, or if those that are set fit
// several schemes.
func (s Source) Credential(d enlace.Descriptor) (enlace.Credential, error) {
	r := s.reader()
	ways := r.ways(d)
	values := map[string]string{} // by variable, those that are set
	for _, w := range ways {
		for _, f := range w.fields {
			if _, seen := values[f.variable]; seen {
				continue
			}
			if value := r.read(f.variable); value != "" {
				values[f.variable] = value
			}
		}
	}
	webhook := r.list(r.name(d.Name, "webhook_secrets"))
	if err := r.err(); err != nil {
		return enlace.Credential{}, err
	}
	w, err := choose(d.Name, r.name(d.Name, "scheme"), ways, slices.Sorted(maps.Keys(values)))
	if err != nil {
		return enlace.Credential{}, err
	}
	c := enlace.Credential{Scheme: w.scheme, Secrets: map[string]enlace.Secret{}}
	for _, f := range w.fields {
		if value := values[f.variable]; value != "" {
			c.Secrets[f.Name] = enlace.NewSecret(value)
		}
	}
	for _, text := range webhook {
		c.WebhookSecrets = append(c.WebhookSecrets, enlace.NewSecret(text))
	}
	return c, nil
}

// way is one auth scheme with its variables.
type way struct {
	scheme string
	fields []field
}

type field struct {
	enlace.SecretField
	variable string
}

// ways are the schemes that a credential from the environment can have: all but
// the code flow, or the one that the variable SCHEME names.
func (r *reader) ways(d enlace.Descriptor) []way {
	variable := r.name(d.Name, "scheme")
	named := r.read(variable)
	var ways []way
	var names []string
	for _, scheme := range d.Auth {
		names = append(names, scheme.Scheme())
		if !isCodeFlow(scheme) && (named == "" || named == scheme.Scheme()) {
			ways = append(ways, r.way(d.Name, scheme))
		}
	}
	if named != "" && !slices.Contains(names, named) {
		r.fault(variable, "not an auth scheme of "+d.Name, strings.Join(names, ", "))
	}
	return ways
}

func (r *reader) way(provider string, scheme enlace.AuthScheme) way {
	w := way{scheme: scheme.Scheme()}
	_, client := scheme.(enlace.ClientCredentials)
	for _, f := range scheme.SecretFields() {
		f.Required = f.Required || client // they are optional there for Config.OAuth's sake
		w.fields = append(w.fields, field{f, r.name(provider, f.Name)})
	}
	return w
}

func isCodeFlow(scheme enlace.AuthScheme) bool {
	_, is := scheme.(enlace.OAuth2)
	return is
}

// choose finds the one way that needs no more and no less than the variables that
// are set.
func choose(provider, schemeVariable string, ways []way, set []string) (way, error) {
	if len(set) == 0 {
		return way{}, nothingSet(provider, ways)
	}
	var fitting, complete []way
	for _, w := range ways {
		if len(w.missing(set)) > 0 || !w.uses(set) {
			continue
		}
		complete = append(complete, w)
		if w.covers(set) {
			fitting = append(fitting, w)
		}
	}
	switch {
	case len(fitting) == 1:
		return fitting[0], nil
	case len(complete) == 0:
		return way{}, incomplete(ways, set)
	}
	return way{}, &enlace.ValidationError{Faults: []enlace.Fault{{
		Field: schemeVariable, Problem: "missing, and these variables fit more than one auth scheme: " + strings.Join(set, ", "),
		Allowed: "one of " + schemeNames(ways) + "; or unset what is not meant"}}}
}

// nothingSet says which variables there are.
func nothingSet(provider string, ways []way) error {
	var choices []string
	for _, w := range ways {
		var variables []string
		for _, f := range w.fields {
			variables = append(variables, f.variable)
		}
		choices = append(choices, strings.Join(variables, " and "))
	}
	message := "set " + strings.Join(choices, ", or ")
	if len(choices) == 0 {
		message = "a person connects the account through OAuth; the environment holds no credential for it"
	}
	return &enlace.Error{Provider: provider, Op: "read environment", Kind: enlace.ErrNoCredential,
		Outcome: enlace.OutcomeNotRun, Message: message}
}

// incomplete says what is missing for each way that was begun.
func incomplete(ways []way, set []string) error {
	var faults enlace.ValidationError
	for _, w := range ways {
		if !w.uses(set) {
			continue
		}
		for _, f := range w.missing(set) {
			faults.Faults = append(faults.Faults, enlace.Fault{Field: f.variable,
				Problem: "missing for the auth scheme " + w.scheme, Allowed: describe(f.SecretField)})
		}
	}
	return &faults
}

// missing are the required fields whose variables are not set.
func (w way) missing(set []string) []field {
	return slices.DeleteFunc(slices.Clone(w.fields), func(f field) bool {
		return !f.Required || slices.Contains(set, f.variable)
	})
}

// uses says whether one of the variables is the way's.
func (w way) uses(set []string) bool {
	return slices.ContainsFunc(w.fields, func(f field) bool { return slices.Contains(set, f.variable) })
}

// covers says whether all of the variables are the way's.
func (w way) covers(set []string) bool {
	return !slices.ContainsFunc(set, func(variable string) bool {
		return !slices.ContainsFunc(w.fields, func(f field) bool { return f.variable == variable })
	})
}

func schemeNames(ways []way) string {
	names := make([]string, len(ways))
	for i, w := range ways {
		names[i] = w.scheme
	}
	return strings.Join(names, ", ")
}

// describe is a field's label and help on one line.
func describe(f enlace.SecretField) string {
	text := strings.Join(strings.Fields(f.Label), " ")
	if help := strings.Join(strings.Fields(f.Help), " "); help != "" {
		text += ": " + help
	}
	return text
}
