package bitrix24test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The entity type ids that every portal has (sheet 5.1). Smart processes, 128 and above, are
// configured by [Options].SmartTypes.
const (
	Lead         = 1
	Deal         = 2
	Contact      = 3
	Company      = 4
	Quote        = 7
	SmartInvoice = 31
)

// UserField is a userfield of one entity type.
type UserField struct {
	EntityTypeID int
	Name         string   // original name, such as "UF_CRM_1700000001"
	Type         string   // string, integer, double, boolean, date, datetime or enumeration
	Multiple     bool     // a list of strings; only for string
	Label        string   // the text people see; Name if empty
	Options      []string // texts of an enumeration, whose ids count up from 41
}

// SmartType is a custom entity type, also called smart process or SPA.
type SmartType struct {
	EntityTypeID int // 128 and above
	ID           int // the type's own number, which its userfields carry in their names
	Title        string
}

// kind is how a field's value is kept, written and compared.
type kind uint8

const (
	kindInt   kind = iota // whole number; classic writes a string
	kindLink              // id of another record; absent is null in classic, 0 in universal
	kindText              // absent is null
	kindFlat              // universal text that is "" when absent
	kindFlag              // Y or N
	kindBool              // userfield: Y or N in universal, 1 or 0 in classic and in filters
	kindMoney             // hundredths
	kindTime              // Unix seconds; classic writes "" when absent
	kindDate              // days since 1970 in the portal's zone; classic writes "" when absent
	kindTexts             // list of strings
	kindInts              // list of ids, only in universal
	kindMulti             // multifield of one TYPE_ID, only in classic
	kindFM                // all multifields, only in universal
)

// field is one field of an entity type under both families' names, "" where a family lacks it.
type field struct {
	classic, universal string
	original           string // a userfield's name in both families when useOriginalUfNames is set
	kind               kind
	typ                string // type in the metadata
	title              string
	readOnly           bool
	options            []string // of an enumeration
	fixed              bool     // the same in all seeded records
	plain              bool     // a text that needs no escapes in seeded records

	number func(*record) (int64, bool)          // of the kinds kept as numbers
	text   func(dst []byte, r *record) []byte   // of kindText and kindFlat; nothing appended means absent
	ints   func(dst []int64, r *record) []int64 // of kindInts
	texts  func(r *record) []string             // of kindTexts

	classicKey, universalKey, originalKey string // `"NAME":`
}

func (f *field) userField() bool { return f.original != "" }

// name returns the field's name in crm.item.* requests and answers.
func (f *field) name(original bool) string {
	if original && f.original != "" {
		return f.original
	}
	return f.universal
}

// key returns the name as the JSON member name with its colon.
func (f *field) key(style naming) string {
	switch {
	case style == classicNames:
		return f.classicKey
	case style == originalNames && f.original != "":
		return f.originalKey
	default:
		return f.universalKey
	}
}

// naming is which of a field's names a request uses.
type naming uint8

const (
	classicNames naming = iota
	universalNames
	originalNames // universal, with the userfields' original names
)

// entityType is what the portal knows about one kind of record.
type entityType struct {
	id       int
	code     string // as in crm.{code}.list; "" without classic methods
	title    string
	ufEntity string // ENTITY_ID of its userfields
	fields   []*field

	byClassic, byUniversal, byOriginal map[string]*field

	everything [originalNames + 1][]column // what crm.item.* returns when nothing is selected

	idField *field
	fm      *field // nil without multifields
}

func newEntityType(id int, code, title, ufEntity string, fields []*field, userFields []UserField) *entityType {
	t := &entityType{
		id: id, code: code, title: title, ufEntity: ufEntity, fields: fields,
		byClassic: map[string]*field{}, byUniversal: map[string]*field{}, byOriginal: map[string]*field{},
	}
	taken := map[string]bool{}
	for _, f := range fields {
		taken[f.universal] = true
	}
	for _, uf := range userFields {
		if uf.EntityTypeID == id {
			f := newUserField(uf)
			if taken[f.universal] {
				f.universal = f.original
			}
			taken[f.universal] = true
			t.fields = append(t.fields, f)
		}
	}
	for _, f := range t.fields {
		t.index(f)
	}
	t.idField, t.fm = t.byUniversal["id"], t.byUniversal["fm"]
	return t
}

func (t *entityType) index(f *field) {
	if f.classic != "" {
		t.byClassic[f.classic] = f
		f.classicKey = strconv.Quote(f.classic) + ":"
	}
	if f.universal != "" {
		t.byUniversal[f.universal] = f
		f.universalKey = strconv.Quote(f.universal) + ":"
	}
	if f.original != "" {
		f.originalKey = strconv.Quote(f.original) + ":"
	}
	if name := f.name(true); name != "" {
		t.byOriginal[name] = f
	}
	if f.title == "" {
		f.title = humanTitle(f.classic, f.universal)
	}
}

// lookup finds a field by the name that this style of request uses, or nil.
func (t *entityType) lookup(name string, style naming) *field {
	switch style {
	case classicNames:
		return t.byClassic[name]
	case originalNames:
		return t.byOriginal[name]
	default:
		return t.byUniversal[name]
	}
}

// anyName finds a field by whichever of its names.
func (t *entityType) anyName(name string) *field {
	for style := range originalNames + 1 {
		if f := t.lookup(name, style); f != nil {
			return f
		}
	}
	return nil
}

// itemFields returns the fields that crm.item.* knows.
func (t *entityType) itemFields() []*field {
	return slices.DeleteFunc(slices.Clone(t.fields), func(f *field) bool { return f.universal == "" })
}

// humanTitle makes "Date modify" of DATE_MODIFY, or of the universal name where that is all there is.
func humanTitle(classic, universal string) string {
	name := classic
	if name == "" {
		name = universal
	}
	name = strings.ToLower(strings.ReplaceAll(name, "_", " "))
	return strings.ToUpper(name[:1]) + name[1:]
}

func newUserField(uf UserField) *field {
	f := &field{classic: uf.Name, universal: universalName(uf.Name), original: uf.Name, typ: uf.Type, title: uf.Label, options: uf.Options}
	if f.title == "" {
		f.title = uf.Name
	}
	salt := saltOf(uf.Name)
	switch uf.Type {
	case "string":
		f.kind, f.text, f.plain = kindText, seededCode(salt), true
		if uf.Multiple {
			f.kind, f.text, f.texts = kindTexts, nil, seededWords(salt)
		}
	case "integer":
		f.kind, f.number = kindInt, seededNumber(salt, 1000)
	case "double":
		f.kind, f.number = kindMoney, seededNumber(salt, 100_000)
	case "boolean":
		f.kind, f.number = kindBool, seededNumber(salt, 2)
	case "date":
		f.kind, f.number = kindDate, seededDay(salt)
	case "datetime":
		f.kind, f.number = kindTime, seededTime(salt)
	case "enumeration":
		f.kind, f.number = kindInt, seededOption(salt, len(uf.Options))
	default:
		panic(fmt.Sprintf("bitrix24test: userfield %s has the unknown type %q", uf.Name, uf.Type))
	}
	return f
}

// universalName converts a userfield's name as crm.item.* does (sheet 5.8).
func universalName(original string) string {
	rest, found := strings.CutPrefix(original, "UF_CRM_")
	if !found {
		return original
	}
	number, words, _ := strings.Cut(rest, "_")
	if strings.Trim(number, "0123456789") != "" {
		number, words = "", rest
	}
	switch {
	case words == "": // UF_CRM_1747309879
		return "ufCrm_" + rest
	case strings.Trim(words, "0123456789_") == "": // UF_CRM_3_1747309727
		return "ufCrm" + rest
	case strings.ContainsAny(words, "0123456789"): // UF_CRM_3_DIGIT10
		return "ufCrm_" + rest
	}
	name := "ufCrm" + number
	for word := range strings.SplitSeq(strings.ToLower(words), "_") {
		if word != "" {
			name += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return name
}

// defaultUserFields gives every type with classic methods and each smart type one field of
// each kind.
func defaultUserFields(smart []SmartType) []UserField {
	fields := []UserField{}
	add := func(entityTypeID int, prefix string) {
		for _, uf := range []UserField{
			{Name: "1700000001", Type: "string", Label: "Número fiscal"},
			{Name: "LOYALTY_POINTS", Type: "integer", Label: "Loyalty points"},
			{Name: "1700000002", Type: "enumeration", Label: "Segment", Options: []string{"Retail", "Wholesale", "Partner"}},
			{Name: "1700000003", Type: "boolean", Label: "Newsletter"},
			{Name: "1700000004", Type: "datetime", Label: "Последний визит"},
			{Name: "1700000005", Type: "string", Label: "Interests", Multiple: true},
			{Name: "1700000006", Type: "double", Label: "Discount"},
		} {
			uf.EntityTypeID, uf.Name = entityTypeID, prefix+uf.Name
			fields = append(fields, uf)
		}
	}
	for _, id := range []int{Lead, Deal, Contact, Company} {
		add(id, "UF_CRM_")
	}
	for _, t := range smart {
		add(t.EntityTypeID, fmt.Sprintf("UF_CRM_%d_", t.ID))
	}
	return fields
}
