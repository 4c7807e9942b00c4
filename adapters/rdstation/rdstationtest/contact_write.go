package rdstationtest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// profileKeys are the strings of a contact that may be written.
var profileKeys = []string{
	"name", "job_title", "bio", "website", "city", "state", "country", "birthdate",
	"personal_phone", "mobile_phone", "twitter", "facebook", "linkedin",
}

var readOnlyKeys = []string{"available_for_mailing", "extra_emails", "links", "uuid"}

var (
	handlePattern = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
	emailPattern  = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
	phonePattern  = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

// contactChange is a checked body of POST or PATCH.
type contactChange struct {
	email, phone *string
	fields       object
	tags         []string
	hasTags      bool
	legalBases   []any
	hasBases     bool
}

// checkContact checks a body: identity first, then which keys there are, then their values (F20
// to F22). lead is nil for contacts that are new.
func (a *Account) checkContact(body object, id identifier, lead *contact) (contactChange, *reply) {
	if _, repeated := body[id.kind]; repeated && id.kind != "" {
		refused := flat(http.StatusBadRequest, "CONFLICTING_FIELD", "The payload contains an attribute that was used to identify the lead")
		return contactChange{}, &refused
	}
	if refused := a.checkKeys(body); refused != nil {
		return contactChange{}, refused
	}
	change := contactChange{fields: object{}}
	wrongType, invalid := fieldErrors{}, fieldErrors{}
	for _, key := range sortedKeys(body) {
		a.checkValue(&change, key, body[key], wrongType, invalid)
	}
	if len(wrongType) > 0 {
		refused := wrongType.reply(http.StatusUnprocessableEntity)
		return change, &refused
	}
	if len(invalid) > 0 {
		refused := invalid.reply(http.StatusBadRequest)
		return change, &refused
	}
	return change, a.checkIdentity(change, lead)
}

func (a *Account) checkKeys(body object) *reply {
	unknown, fixed := []string{}, []string{}
	for _, key := range sortedKeys(body) {
		switch {
		case slices.Contains(readOnlyKeys, key):
			fixed = append(fixed, key)
		case key == "email" || key == "phone" && !a.quirks.NoPhone || key == "tags" || key == "legal_bases" || slices.Contains(profileKeys, key):
		case a.customField(key) == nil:
			unknown = append(unknown, key)
		}
	}
	message := ""
	switch {
	case len(unknown) > 0:
		message = "Payload contains fields that do not exist: (" + strings.Join(unknown, ", ") + ")"
	case len(fixed) > 0:
		message = "Payload contains fields that cannot be modified: (" + strings.Join(fixed, ", ") + ")"
	default:
		return nil
	}
	refused := flat(http.StatusBadRequest, "INVALID_FIELDS", message)
	return &refused
}

// checkIdentity refuses an e-mail or phone that belongs to another contact.
func (a *Account) checkIdentity(change contactChange, lead *contact) *reply {
	if change.email != nil && *change.email != "" {
		if other := a.contacts.byEmail[*change.email]; other != nil && other != lead {
			refused := flat(http.StatusBadRequest, "EMAIL_ALREADY_IN_USE", "email already in use")
			return &refused
		}
	}
	if change.phone != nil && *change.phone != "" {
		if other := a.contacts.byPhone[*change.phone]; other != nil && other != lead {
			refused := flat(http.StatusBadRequest, "PHONE_ALREADY_IN_USE", "phone already in use")
			return &refused
		}
	}
	return nil
}

func identifierProblem(id identifier) fieldErrors {
	problems := fieldErrors{}
	if id.kind == "email" && !emailPattern.MatchString(id.value) {
		problems.add("email", "INVALID_EMAIL_FORMAT", "email has an invalid format")
	} else if id.kind == "phone" && !phonePattern.MatchString(id.value) {
		problems.add("phone", "INVALID_FORMAT", "phone has an invalid format")
	} else {
		return nil
	}
	return problems
}

// label is how messages name a field: "job_title" is "Job title".
func label(key string) string {
	words := strings.ReplaceAll(key, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// checkValue checks one value and books it as a change. null clears.
func (a *Account) checkValue(change *contactChange, key string, value any, wrongType, invalid fieldErrors) {
	switch key {
	case "tags":
		tags, isArray := stringArray(value)
		if !isArray && value != nil {
			wrongType.add(key, "MUST_BE_STRING_ARRAY", "Tags must be string array.")
			return
		}
		checkTags(invalid, tags, nil)
		change.tags, change.hasTags = tags, true
	case "legal_bases":
		change.legalBases, change.hasBases = checkLegalBases(value, invalid), true
	default:
		if custom := a.customField(key); custom != nil {
			custom.checkValue(value, wrongType, invalid)
			change.fields[key] = value
			return
		}
		s, isText := value.(string)
		if !isText && value != nil {
			wrongType.add(key, "MUST_BE_STRING", label(key)+" must be string.")
			return
		}
		a.checkText(change, key, s, value == nil, invalid)
	}
}

func (a *Account) checkText(change *contactChange, key, s string, null bool, invalid fieldErrors) {
	switch key {
	case "email":
		switch s = a.email(s); {
		case null:
			invalid.add(key, "CANNOT_BE_NULL", "email cannot be null.")
		case !emailPattern.MatchString(s):
			invalid.add(key, "INVALID_EMAIL_FORMAT", "email has an invalid format")
		}
		change.email = &s
		return
	case "phone":
		if s != "" && !phonePattern.MatchString(s) {
			invalid.add(key, "INVALID_FORMAT", "phone has an invalid format")
		}
		change.phone = &s
		return
	case "twitter", "facebook", "linkedin":
		if !handlePattern.MatchString(s) {
			invalid.add(key, "INVALID_FORMAT", key+" must use only letters, numbers, '.', '-' and '_'")
		}
	case "birthdate":
		if _, valid := parseTime(s); s != "" && (!valid || len(s) != len("2006-01-02")) {
			invalid.add(key, "INVALID", "It is not valid")
		}
	}
	change.fields[key] = s
}

var (
	legalTypes    = []string{"pre_existent_contract", "consent", "legitimate_interest", "judicial_process", "vital_interest", "public_interest"}
	legalStatuses = []string{"granted", "declined"}
)

// checkLegalBases checks the bases of Marketing, whose only category is communications (2.9).
func checkLegalBases(value any, invalid fieldErrors) []any {
	list, isArray := value.([]any)
	valid := isArray || value == nil
	for _, item := range list {
		base, _ := item.(object)
		valid = valid && text(base["category"]) == "communications" &&
			slices.Contains(legalTypes, text(base["type"])) && slices.Contains(legalStatuses, text(base["status"]))
	}
	if !valid {
		invalid.add("legal_bases", "MUST_BE_VALID_OPTION", "Legal bases must be valid options.")
	}
	return list
}

// apply changes a contact. Tags are added or replace the old ones.
func (a *Account) apply(lead *contact, change contactChange, addTags bool) {
	if change.email != nil {
		a.setEmail(lead, *change.email)
	}
	if change.phone != nil {
		a.setPhone(lead, *change.phone)
	}
	for key, value := range change.fields {
		if value == nil || value == "" {
			delete(lead.fields, key)
			continue
		}
		lead.fields[key] = value
	}
	if change.hasTags && addTags {
		lead.addTags(change.tags)
	} else if change.hasTags {
		lead.tags = slices.Clone(change.tags)
	}
	if change.hasBases {
		lead.legalBases = change.legalBases
	}
	a.contacts.version++
}

func (lead *contact) addTags(tags []string) {
	for _, tag := range tags {
		if tag = strings.ToLower(tag); !slices.Contains(lead.tags, tag) {
			lead.tags = append(lead.tags, tag)
		}
	}
}

// checkValue checks the value of a custom field; null clears it.
func (f *field) checkValue(value any, wrongType, invalid fieldErrors) {
	if value == nil {
		return
	}
	switch f.dataType {
	case "INTEGER":
		n, isNumber := value.(json.Number)
		if _, err := n.Int64(); !isNumber || err != nil {
			wrongType.add(f.identifier, "INVALID", "It is not valid")
		}
	case "BOOLEAN":
		if _, isBool := value.(bool); !isBool {
			wrongType.add(f.identifier, "MUST_BE_BOOLEAN", label(f.identifier)+" must be boolean.")
		}
	case "STRING[]":
		values, isArray := stringArray(value)
		if !isArray {
			wrongType.add(f.identifier, "MUST_BE_STRING_ARRAY", label(f.identifier)+" must be string array.")
			return
		}
		for _, option := range values {
			f.checkOption(option, invalid)
		}
	default:
		s, isText := value.(string)
		if !isText {
			wrongType.add(f.identifier, "MUST_BE_STRING", label(f.identifier)+" must be string.")
			return
		}
		if s != "" {
			f.checkOption(s, invalid)
		}
	}
}

func (f *field) checkOption(value string, invalid fieldErrors) {
	if len(f.options) > 0 && !slices.Contains(f.options, value) {
		invalid.add(f.identifier, "MUST_BE_VALID_OPTION", "Must be one of the valid options.")
	}
}
