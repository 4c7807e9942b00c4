package bitrix24test

import (
	"cmp"
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
	Type         string   // as in sheet 5.8, but not file: string, integer, double, boolean, date, datetime, enumeration, …
	Multiple     bool     // a list; not for double, boolean, date and datetime
	Mandatory    bool     // adding a record without it fails
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
	kindInts              // list of ids or numbers
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
	required           bool
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
	link    *link  // to the contacts or companies bound to a record

	event   string // what the names of its events begin with, such as ONCRMCONTACT
	dynamic bool   // its events say which type they are about
}

func newEntityType(id int, code, title, ufEntity string, fields []*field, userFields []UserField) *entityType {
	t := &entityType{
		id: id, code: code, title: title, ufEntity: ufEntity, fields: fields,
		byClassic: map[string]*field{}, byUniversal: map[string]*field{}, byOriginal: map[string]*field{},
	}
	for _, f := range fields {
		t.index(f)
	}
	for _, uf := range userFields {
		if uf.EntityTypeID == id {
			t.addUserField(newUserField(uf).seed())
		}
	}
	t.idField, t.fm, t.link = t.byUniversal["id"], t.byUniversal["fm"], newLink(t)
	t.event = "ONCRM" + strings.ToUpper(code)
	switch {
	case id == Quote:
		t.event = "ONCRMQUOTE"
	case code == "":
		t.event, t.dynamic = "ONCRMDYNAMICITEM", true
	}
	return t
}

// addUserField appends a userfield. One whose universal name is taken keeps its original name.
func (t *entityType) addUserField(f *field) {
	if t.byUniversal[f.universal] != nil {
		f.universal = f.original
	}
	t.fields = append(t.fields, f)
	t.index(f)
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

// The types of userfields beyond those with a kind of their own: what is kept as text, and what is
// kept as an id.
var (
	userTextTypes = []string{"string", "url", "money", "address", "crm", "crm_status"}
	userIDTypes   = []string{"employee", "iblock_element", "iblock_section"}
)

// userKind returns how a userfield keeps its values, or false if there is no such type.
func userKind(typ string, multiple bool) (kind, bool) {
	text, id := slices.Contains(userTextTypes, typ), slices.Contains(userIDTypes, typ) || typ == "integer" || typ == "enumeration"
	switch {
	case text && multiple:
		return kindTexts, true
	case text:
		return kindText, true
	case id && multiple:
		return kindInts, true
	case id:
		return kindInt, true
	case multiple:
		return 0, false
	case typ == "double":
		return kindMoney, true
	case typ == "boolean":
		return kindBool, true
	case typ == "date":
		return kindDate, true
	case typ == "datetime":
		return kindTime, true
	}
	return 0, false
}

// newUserField returns a field that no record has a value for.
func newUserField(uf UserField) *field {
	kind, known := userKind(uf.Type, uf.Multiple)
	if !known {
		panic(fmt.Sprintf("bitrix24test: userfield %s has the type %q, which the portal does not know or not as a list", uf.Name, uf.Type))
	}
	return &field{
		classic: uf.Name, universal: universalName(uf.Name), original: uf.Name, kind: kind, typ: uf.Type, title: cmp.Or(uf.Label, uf.Name),
		options: uf.Options, required: uf.Mandatory, fixed: true,
	}
}

// seed gives seeded records values for a userfield.
func (f *field) seed() *field {
	salt := saltOf(f.original)
	f.fixed = false
	switch {
	case f.typ == "string" && f.kind == kindTexts:
		f.texts = seededWords(salt)
	case f.typ == "string":
		f.text, f.plain = seededCode(salt), true
	case f.typ == "enumeration" && f.kind == kindInt:
		f.number = seededOption(salt, len(f.options))
	case f.typ == "integer" && f.kind == kindInt:
		f.number = seededNumber(salt, 1000)
	case f.kind == kindMoney:
		f.number = seededNumber(salt, 100_000)
	case f.kind == kindBool:
		f.number = seededNumber(salt, 2)
	case f.kind == kindDate:
		f.number = seededDay(salt)
	case f.kind == kindTime:
		f.number = seededTime(salt)
	default:
		f.fixed = true
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
