package bitrix24

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// Item is what all kinds of CRM items have (sheet 5.3). Zero fields are left out when
// it is written; to clear one, give [Update] a map that holds null for it.
type Item struct {
	ID           ID     `json:"id,omitempty"` // set by the portal
	AssignedByID ID     `json:"assignedById,omitempty"`
	Opened       string `json:"opened,omitempty"` // Y or N: everybody may see it
	SourceID     string `json:"sourceId,omitempty"`
	SourceText   string `json:"sourceDescription,omitempty"`
	Comments     string `json:"comments,omitempty"` // BBCode
	OriginatorID string `json:"originatorId,omitempty"`
	OriginID     string `json:"originId,omitempty"`
	UTMSource    string `json:"utmSource,omitempty"`
	UTMMedium    string `json:"utmMedium,omitempty"`
	UTMCampaign  string `json:"utmCampaign,omitempty"`
	UTMContent   string `json:"utmContent,omitempty"`
	UTMTerm      string `json:"utmTerm,omitempty"`
	CreatedTime  Time   `json:"createdTime,omitzero"` // set by the portal
	UpdatedTime  Time   `json:"updatedTime,omitzero"` // set by the portal
	CreatedBy    ID     `json:"createdBy,omitempty"`  // set by the portal
	UpdatedBy    ID     `json:"updatedBy,omitempty"`  // set by the portal
	// UserFields are the UF_CRM_… fields: strings, json.Number, booleans, lists and
	// null when read (sheet 5.8).
	UserFields map[string]any `json:"-"`
}

// Contact is a person (sheet 5.3). It needs a Name or a LastName.
type Contact struct {
	Item
	Name          string      `json:"name,omitempty"`
	SecondName    string      `json:"secondName,omitempty"`
	LastName      string      `json:"lastName,omitempty"`
	Honorific     string      `json:"honorific,omitempty"`
	Birthdate     Date        `json:"birthdate,omitempty"`
	Post          string      `json:"post,omitempty"`
	TypeID        string      `json:"typeId,omitempty"`
	CompanyID     ID          `json:"companyId,omitempty"` // the primary one
	CompanyIDs    []ID        `json:"companyIds,omitempty"`
	OriginVersion string      `json:"originVersion,omitempty"`
	Multifields   Multifields `json:"fm,omitempty"` // changed as [Adapter.Push] tells
}

// Company is an organisation (sheet 5.3).
type Company struct {
	Item
	Title          string      `json:"title,omitempty"`
	TypeID         string      `json:"typeId,omitempty"`
	Industry       string      `json:"industry,omitempty"`
	Employees      string      `json:"employees,omitempty"`
	Revenue        Decimal     `json:"revenue,omitempty"`
	CurrencyID     string      `json:"currencyId,omitempty"`
	BankingDetails string      `json:"bankingDetails,omitempty"`
	IsMyCompany    string      `json:"isMyCompany,omitempty"` // Y or N
	ContactIDs     []ID        `json:"contactIds,omitempty"`
	OriginVersion  string      `json:"originVersion,omitempty"`
	Multifields    Multifields `json:"fm,omitempty"` // changed as [Adapter.Push] tells
}

// Deal is a sale (sheet 5.3).
type Deal struct {
	Item
	Title               string  `json:"title,omitempty"`
	TypeID              string  `json:"typeId,omitempty"`
	CategoryID          *ID     `json:"categoryId,omitempty"` // the funnel; 0 is the general one
	StageID             string  `json:"stageId,omitempty"`
	StageSemanticID     string  `json:"stageSemanticId,omitempty"` // P in progress, S won, F lost; set by the portal
	Opportunity         Decimal `json:"opportunity,omitempty"`     // the amount
	CurrencyID          string  `json:"currencyId,omitempty"`
	IsManualOpportunity string  `json:"isManualOpportunity,omitempty"` // Y or N
	TaxValue            Decimal `json:"taxValue,omitempty"`
	Probability         Decimal `json:"probability,omitempty"` // percent
	Begindate           Date    `json:"begindate,omitempty"`
	Closedate           Date    `json:"closedate,omitempty"`
	Closed              string  `json:"closed,omitempty"` // Y or N
	CompanyID           ID      `json:"companyId,omitempty"`
	ContactID           ID      `json:"contactId,omitempty"` // the primary one
	ContactIDs          []ID    `json:"contactIds,omitempty"`
	LeadID              ID      `json:"leadId,omitempty"`
	QuoteID             ID      `json:"quoteId,omitempty"`
	MovedTime           Time    `json:"movedTime,omitzero"` // when the stage changed; set by the portal
}

// Lead is somebody who may become a customer (sheet 5.3). See [HasLeads].
type Lead struct {
	Item
	Title            string      `json:"title,omitempty"`
	Name             string      `json:"name,omitempty"`
	SecondName       string      `json:"secondName,omitempty"`
	LastName         string      `json:"lastName,omitempty"`
	Honorific        string      `json:"honorific,omitempty"`
	Birthdate        Date        `json:"birthdate,omitempty"`
	Post             string      `json:"post,omitempty"`
	CompanyTitle     string      `json:"companyTitle,omitempty"`
	StageID          string      `json:"stageId,omitempty"`
	StageSemanticID  string      `json:"stageSemanticId,omitempty"` // P in progress, S converted, F junk; set by the portal
	StatusText       string      `json:"statusDescription,omitempty"`
	Opportunity      Decimal     `json:"opportunity,omitempty"`
	CurrencyID       string      `json:"currencyId,omitempty"`
	IsReturnCustomer string      `json:"isReturnCustomer,omitempty"` // Y or N; set by the portal
	CompanyID        ID          `json:"companyId,omitempty"`
	ContactID        ID          `json:"contactId,omitempty"`
	DateClosed       Time        `json:"dateClosed,omitzero"` // set by the portal
	Multifields      Multifields `json:"fm,omitempty"`        // changed as [Adapter.Push] tells
}

// Object is one of the kinds of items that have a type of their own.
type Object interface {
	Contact | Company | Deal | Lead
}

// EntityOf is the entity's name of an object: "contacts" for a [Contact].
func EntityOf[T Object]() string {
	var object T
	switch any(object).(type) {
	case Contact:
		return "contacts"
	case Company:
		return "companies"
	case Deal:
		return "deals"
	default:
		return "leads"
	}
}

// Get reads one item by crm.item.get (sheet 5.2): Get[Contact](ctx, c, 11). For many,
// see [Adapter.Fetch]. Errors: ErrNotFound, ErrForbidden, and those of any read.
func Get[T Object](ctx context.Context, c *enlace.Conn, id ID) (T, error) {
	var object T
	k, err := kindOf("get", EntityOf[T]())
	if err != nil {
		return object, err
	}
	if err := checkID("get", number(id)); err != nil {
		return object, err
	}
	a := send(ctx, c, k.getCommand(number(id)))
	if a.err != nil {
		return object, a.err
	}
	record, err := k.record("crm.item.get", a.result)
	if err != nil {
		return object, err
	}
	return enlace.DecodeRecord[T](record)
}

// Create adds an item by crm.item.add (sheet 5.2). With a key it is added once,
// however often Create is called with that key, and created says whether it was by
// this call; without one the request is sent once, and what became of it after a lost
// answer remains open. See [Adapter.Push], also for the errors.
func Create[T Object](ctx context.Context, c *enlace.Conn, object T, key string) (id ID, created bool, err error) {
	ack, err := Adapter{}.Push(ctx, c, enlace.Mutation{Entity: EntityOf[T](), Op: enlace.OpCreate, Data: object, Key: key})
	n, _ := parseID(ack.ID)
	return ID(n), ack.Created, err
}

// Update changes an item by crm.item.update (sheet 5.2). changes are an object, whose
// zero fields stay as they are, or a map by field names, where null clears:
// Update[Contact](ctx, c, 11, map[string]any{"post": nil}). It may be repeated, and
// enlace does, unless it adds a multifield. See [Adapter.Push], also for the errors.
func Update[T Object](ctx context.Context, c *enlace.Conn, id ID, changes any) error {
	_, err := Adapter{}.Push(ctx, c, enlace.Mutation{Entity: EntityOf[T](), Op: enlace.OpUpdate, ID: number(id), Data: changes})
	return err
}

// Upsert changes the item that has the object's origin or one of its addresses, or
// adds it (sheet 5.2, 5.9); created says which. See [Adapter.Push], also for the errors.
func Upsert[T Object](ctx context.Context, c *enlace.Conn, object T, key string) (id ID, created bool, err error) {
	ack, err := Adapter{}.Push(ctx, c, enlace.Mutation{Entity: EntityOf[T](), Op: enlace.OpUpsert, Data: object, Key: key})
	n, _ := parseID(ack.ID)
	return ID(n), ack.Created, err
}

// Delete deletes an item by crm.item.delete (sheet 5.2); one that is gone is no error.
// It may be repeated, and enlace does. Errors: ErrForbidden, and those of any call.
func Delete[T Object](ctx context.Context, c *enlace.Conn, id ID) error {
	_, err := Adapter{}.Push(ctx, c, enlace.Mutation{Entity: EntityOf[T](), Op: enlace.OpDelete, ID: number(id)})
	return err
}

const userFieldPrefix = "UF_"

// userFieldsOf collects the members of an object that are user fields.
func userFieldsOf(data []byte) (map[string]any, error) {
	var found map[string]any
	s := rawjson.NewScanner(data)
	for key := range s.Object() {
		if !bytes.HasPrefix(key, []byte(userFieldPrefix)) {
			continue
		}
		name := string(key)
		decoder := json.NewDecoder(bytes.NewReader(s.Value()))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, errValue
		}
		if found == nil {
			found = map[string]any{}
		}
		found[name] = value
	}
	return found, s.End()
}

// marshalWith writes an object with its user fields.
func marshalWith(plain any, userFields map[string]any) ([]byte, error) {
	data, err := json.Marshal(plain)
	if err != nil || len(userFields) == 0 {
		return data, err
	}
	var all fields
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(userFields)) {
		if !strings.HasPrefix(name, userFieldPrefix) {
			return nil, invalid("encode", name, "no user field", "a name that begins with UF_")
		}
		if all[name], err = json.Marshal(userFields[name]); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}

type (
	plainContact Contact
	plainCompany Company
	plainDeal    Deal
	plainLead    Lead
)

// MarshalJSON puts the user fields beside the others.
func (c Contact) MarshalJSON() ([]byte, error) { return marshalWith(plainContact(c), c.UserFields) }

// MarshalJSON puts the user fields beside the others.
func (c Company) MarshalJSON() ([]byte, error) { return marshalWith(plainCompany(c), c.UserFields) }

// MarshalJSON puts the user fields beside the others.
func (d Deal) MarshalJSON() ([]byte, error) { return marshalWith(plainDeal(d), d.UserFields) }

// MarshalJSON puts the user fields beside the others.
func (l Lead) MarshalJSON() ([]byte, error) { return marshalWith(plainLead(l), l.UserFields) }

// UnmarshalJSON collects what begins with UF_ in UserFields.
func (c *Contact) UnmarshalJSON(data []byte) (err error) {
	if err = json.Unmarshal(data, (*plainContact)(c)); err == nil {
		c.UserFields, err = userFieldsOf(data)
	}
	return err
}

// UnmarshalJSON collects what begins with UF_ in UserFields.
func (c *Company) UnmarshalJSON(data []byte) (err error) {
	if err = json.Unmarshal(data, (*plainCompany)(c)); err == nil {
		c.UserFields, err = userFieldsOf(data)
	}
	return err
}

// UnmarshalJSON collects what begins with UF_ in UserFields.
func (d *Deal) UnmarshalJSON(data []byte) (err error) {
	if err = json.Unmarshal(data, (*plainDeal)(d)); err == nil {
		d.UserFields, err = userFieldsOf(data)
	}
	return err
}

// UnmarshalJSON collects what begins with UF_ in UserFields.
func (l *Lead) UnmarshalJSON(data []byte) (err error) {
	if err = json.Unmarshal(data, (*plainLead)(l)); err == nil {
		l.UserFields, err = userFieldsOf(data)
	}
	return err
}
