package rdstationtest

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// field is a default or custom field of contacts (sheet 2.2).
type field struct {
	uuid, identifier, dataType, presentation string
	custom                                   bool
	name, label, rules                       object
	options                                  []string // the values of rules
}

var (
	defaultIdentifiers = []string{
		"email", "name", "job_title", "state", "city", "country", "personal_phone", "mobile_phone", "twitter", "facebook",
		"linkedin", "website", "company_name", "company_site", "company_address", "tags", "legal_bases",
	}
	dataTypes         = []string{"STRING", "INTEGER", "BOOLEAN", "STRING[]"}
	presentationTypes = []string{
		"TEXT_INPUT", "TEXT_AREA", "URL_INPUT", "PHONE_INPUT", "EMAIL_INPUT", "CHECK_BOX", "NUMBER_INPUT", "COMBO_BOX",
		"RADIO_BUTTON", "MULTIPLE_CHOICE",
	}
	// reservedNames are some of the words that no field may have as its name.
	reservedNames = []string{
		"email", "e-mail", "name", "nome", "nombre", "cargo", "estado", "cidade", "ciudad", "id", "uuid", "tags", "created_at",
		"updated_at", "last_conversion_date", "lead_id", "traffic_source", "traffic_medium", "traffic_campaign", "traffic_value",
		"lifecycle_stage", "opportunity",
	}
	fieldPattern = regexp.MustCompile(`^cf_[a-z0-9_]+$`)
)

func defaultFields() []*field {
	fields := []*field{}
	for _, identifier := range defaultIdentifiers {
		f := &field{uuid: randomUUID(), identifier: identifier, dataType: "STRING", presentation: "TEXT_INPUT", rules: object{}}
		if identifier == "tags" || identifier == "legal_bases" {
			f.dataType = "STRING[]"
		}
		f.name = object{"pt-BR": label(identifier), "default": label(identifier)}
		f.label = f.name
		fields = append(fields, f)
	}
	return fields
}

func (f *field) render() object {
	return object{"uuid": f.uuid, "api_identifier": f.identifier, "custom_field": f.custom, "data_type": f.dataType,
		"presentation_type": f.presentation, "name": f.name, "label": f.label, "validation_rules": f.rules}
}

func (a *Account) customField(identifier string) *field {
	if !strings.HasPrefix(identifier, "cf_") {
		return nil
	}
	for _, f := range a.fields {
		if f.custom && f.identifier == identifier {
			return f
		}
	}
	return nil
}

// serveFields lists all fields, default ones too (F27).
func serveFields(a *Account, _ *request) reply {
	list := []object{}
	for _, f := range a.fields {
		list = append(list, f.render())
	}
	return ok(object{"fields": list})
}

func serveCreateField(a *Account, q *request) reply {
	body, isObject := q.object()
	if !isObject {
		return malformed(marketingSurface)
	}
	problems := fieldErrors{}
	identifier := text(body["api_identifier"])
	switch {
	case body["api_identifier"] == nil:
		problems.add("api_identifier", "CANNOT_BE_NULL", "Cannot be null.")
	case identifier == "":
		problems.add("api_identifier", "CANNOT_BE_BLANK", "Can not be blank")
	case len(identifier) > 64:
		problems.add("api_identifier", "TOO_LONG", "Is too long (maximum 64 characters)")
	case !fieldPattern.MatchString(identifier):
		problems.add("api_identifier", "INVALID", "It is not valid")
	case a.customField(identifier) != nil:
		problems.add("api_identifier", "TAKEN", "Already in use")
	}
	f := &field{uuid: randomUUID(), identifier: identifier, custom: true, rules: object{}}
	f.change(body, problems)
	if len(problems) > 0 {
		return problems.reply(http.StatusBadRequest)
	}
	a.fields = append(a.fields, f)
	return reply{status: http.StatusCreated, body: f.render()}
}

// change checks what POST and PATCH have in common and takes it over.
func (f *field) change(body object, problems fieldErrors) {
	f.dataType, f.presentation = text(body["data_type"]), text(body["presentation_type"])
	requireOption(problems, body, "data_type", dataTypes)
	requireOption(problems, body, "presentation_type", presentationTypes)
	if f.presentation == "MULTIPLE_CHOICE" && f.dataType != "STRING[]" && slices.Contains(dataTypes, f.dataType) {
		problems.add("data_type", "INCLUSION", "invalid options, the valid options are: [STRING[]]")
	}
	f.name = requireTexts(problems, body, "name")
	f.label = requireTexts(problems, body, "label")
	if slices.Contains(reservedNames, strings.ToLower(text(f.name["pt-BR"]))) {
		problems.add("name", "EXCLUSION", "invalid options")
	}
	if rules, isObject := body["validation_rules"].(object); isObject {
		f.rules = rules
	} else if body["validation_rules"] != nil {
		problems.add("validation_rules", "INVALID", "It is not valid")
	}
	f.options = nil
	options, _ := f.rules["valid_options"].([]any)
	for _, option := range options {
		values, _ := option.(object)
		f.options = append(f.options, text(values["value"]))
	}
}

func requireOption(problems fieldErrors, body object, key string, options []string) {
	if body[key] == nil {
		problems.add(key, "CANNOT_BE_NULL", "Cannot be null.")
	} else if !slices.Contains(options, text(body[key])) {
		problems.add(key, "INCLUSION", "invalid options, the valid options are: ["+strings.Join(options, ", ")+"]")
	}
}

// requireTexts takes texts by language, of which pt-BR must not be blank (shape D).
func requireTexts(problems fieldErrors, body object, key string) object {
	texts, isObject := body[key].(object)
	if !isObject {
		problems.add(key, "CANNOT_BE_NULL", "Cannot be null.")
		return nil
	}
	texts = maps.Clone(texts)
	if text(texts["pt-BR"]) == "" && text(texts["default"]) == "" {
		problems.addLanguage(key, "pt-BR", "CANNOT_BE_BLANK", "Can not be blank")
	}
	if texts["default"] == nil {
		texts["default"] = texts["pt-BR"]
	}
	return texts
}

// fieldByUUID returns a custom field, or why there is none to change.
func (a *Account) fieldByUUID(uuid string) (*field, *reply) {
	for _, f := range a.fields {
		if f.uuid != uuid {
			continue
		}
		if f.custom {
			return f, nil
		}
		refused := flat(http.StatusBadRequest, "INVALID_FIELDS", "Payload contains fields that cannot be modified: ("+f.identifier+")")
		return nil, &refused
	}
	refused := notFound()
	return nil, &refused
}

func servePatchField(a *Account, q *request) reply {
	f, refused := a.fieldByUUID(q.vars[0])
	if refused != nil {
		return *refused
	}
	body, isObject := q.object()
	if !isObject {
		return malformed(marketingSurface)
	}
	problems := fieldErrors{}
	if identifier, given := body["api_identifier"]; given && text(identifier) != f.identifier {
		problems.add("api_identifier", "INVALID", "It is not valid")
	}
	changed := *f
	changed.change(body, problems)
	if len(problems) > 0 {
		return problems.reply(http.StatusBadRequest)
	}
	*f = changed
	return ok(f.render())
}

// serveDeleteField removes a field, and its values from all contacts.
func serveDeleteField(a *Account, q *request) reply {
	f, refused := a.fieldByUUID(q.vars[0])
	if refused != nil {
		return *refused
	}
	a.fields = slices.DeleteFunc(a.fields, func(other *field) bool { return other == f })
	for _, lead := range a.contacts.list {
		delete(lead.fields, f.identifier)
	}
	a.contacts.version++
	return reply{status: http.StatusNoContent}
}

// PutField adds a custom field and returns its uuid. identifier begins with cf_; dataType is
// STRING, INTEGER, BOOLEAN or STRING[]; options are the values it may have, none for any. It
// panics if there is such a field already.
func (a *Account) PutField(identifier, dataType string, options ...string) (uuid string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !fieldPattern.MatchString(identifier) || a.customField(identifier) != nil || !slices.Contains(dataTypes, dataType) {
		panic("rdstationtest: " + identifier + " of type " + dataType + " is no new custom field")
	}
	f := &field{uuid: randomUUID(), identifier: identifier, dataType: dataType, custom: true, rules: object{}, options: options,
		presentation: "TEXT_INPUT", name: object{"pt-BR": identifier, "default": identifier}, label: object{"pt-BR": identifier, "default": identifier}}
	if dataType == "STRING[]" {
		f.presentation = "MULTIPLE_CHOICE"
	}
	valid := []object{}
	for _, option := range options {
		valid = append(valid, object{"value": option, "label": object{"pt-BR": option}})
	}
	if len(valid) > 0 {
		f.rules = object{"valid_options": valid}
	}
	a.fields = append(a.fields, f)
	return f.uuid
}
