package rdstation_test

import (
	"testing"

	"github.com/enlace-go/enlace/internal/sheettest"
)

// sheetIndex says which tests hold what the contract sheet of RD Station numbers: F
// are the behaviours of a faithful fake, T the test cases, against the adapter and
// the fake, and Q the quirks.
const sheetIndex = `
F1    rdstationtest.TestF1ClassicDialog
F2    rdstationtest.TestF2RedirectIsExact rdstationtest.TestF2NewCallbacksTakeTime
F3    rdstationtest.TestF3CodesWorkOnceWithinTheHour
F4    rdstationtest.TestF4TokenTakesJSONAndForms
F5    rdstationtest.TestF5MissingFields
F6    rdstationtest.TestF6SuccessHasThreeKeys
F7    rdstationtest.TestF7Rotation rdstationtest.TestF7OtherErrorShapes
F8    rdstationtest.TestF8AccessTokenDiesAfterADay
F9    rdstationtest.TestF9ExpiryStyles
F10   rdstationtest.TestF10InvalidAndMissingTokens
F11   rdstationtest.TestF11Revoke
F12   rdstationtest.TestF12TokenOfTheOtherProduct
F13   rdstationtest.TestF13UnifiedTokens rdstationtest.TestF13UnifiedDialog rdstationtest.TestF13KeepAccessQuirk
F14   rdstationtest.TestF14ConcurrentRefresh
F15   rdstationtest.TestF15CommonRefusals rdstationtest.TestF15HostsKeepToTheirPaths
F16   rdstationtest.TestF16Faults rdstationtest.TestF16FaultsOverTCP
F17   rdstationtest.TestF17Identifiers
F18   rdstationtest.TestF18NotFound
F19   rdstationtest.TestF19Create
F20   rdstationtest.TestF20Patch
F21   rdstationtest.TestF21Tags
F22   rdstationtest.TestF22WrongTypes
F23   rdstationtest.TestF23Omission
F24   rdstationtest.TestF24Delete
F25   rdstationtest.TestF25Events
F26   rdstationtest.TestF26Funnel
F27   rdstationtest.TestF27Fields
F28   rdstationtest.TestF28Segmentations
F29   rdstationtest.TestF29SegmentPages
F30   rdstationtest.TestF30Order
F31   rdstationtest.TestF31Membership
F32   rdstationtest.TestF32ProcessingDelay
F33   rdstationtest.TestF33UnknownKeysAreDropped
F34   rdstationtest.TestF34UnknownTypes
F35   rdstationtest.TestF35QualificationOfStrangers
F36   rdstationtest.TestF36RepeatedConversions
F37   rdstationtest.TestF37Batch
F38   rdstationtest.TestF38ConversionsByKey
F39   rdstationtest.TestF39LimitsPerAccount rdstationtest.TestF39LimitsPerLead
F40   rdstationtest.TestF40Styles
F41   rdstationtest.TestF41SharedByAllApps
F42   rdstationtest.TestF42Validation
F43   rdstationtest.TestF43Administration
F44   rdstationtest.TestF44Deliveries
F45   rdstationtest.TestF45Retries rdstationtest.TestF45RetryThatWorks rdstationtest.TestF45AdvanceInRealTime
F46   rdstationtest.TestF46NoTriggers
F47   rdstationtest.TestF47SharedHeader
F48   rdstationtest.TestF48LegacyPayload
F49   rdstationtest.TestF49OrderAndDuplicates
F50   rdstationtest.TestF50TokensAndVisibility
F51   rdstationtest.TestF51V1Pages
F52   rdstationtest.TestF52NestedStage
F53   rdstationtest.TestF53V1Errors
F54   rdstationtest.TestF54V2Lists rdstationtest.TestF54RDQL rdstationtest.TestF54TenThousand
F55   rdstationtest.TestF55FirstStatus
F56   rdstationtest.TestF56Mutations
F57   rdstationtest.TestF57Analytics
F58   rdstationtest.TestF58Spelling
F59   rdstationtest.TestF59WorkflowLeads
F60   rdstationtest.TestF60AccountInfo
T1    TestBothFlows rdstationtest.TestT01ClassicExchange
T2    TestRefusedCodes rdstationtest.TestT02CodeReused
T3    TestRefusedCodes rdstationtest.TestT03WrongSecret
T4    TestBothFlows rdstationtest.TestT04ClassicRefresh
T5    TestBothFlows rdstationtest.TestT05RefreshAfterRevocation
T6    TestClassify rdstationtest.TestT06FieldMissing
T7    TestBothFlows rdstationtest.TestT07Revoke
T8    TestBothFlows rdstationtest.TestT08UnifiedRefresh
T9    TestBothFlows TestClassify rdstationtest.TestT09Expired
T10   TestBothFlows TestTokenOfTheOtherProduct rdstationtest.TestT10OtherProduct
T11   TestHealth rdstationtest.TestT11HealthCheck
T12   TestContacts rdstationtest.TestT12GetByEmail
T13   TestClassify TestContacts rdstationtest.TestT13Absent
T14   TestClassify TestContacts rdstationtest.TestT14CreateDuplicate
T15   TestContacts rdstationtest.TestT15Upsert
T16   TestClassify TestContacts rdstationtest.TestT16IdentifierInBody
T17   TestClassify TestContacts rdstationtest.TestT17UnknownAttribute
T18   TestContacts rdstationtest.TestT18ReadOnlyAttribute
T19   TestClassify TestContacts rdstationtest.TestT19WrongType
T20   TestClassify TestTags rdstationtest.TestT20UpperCaseTag
T21   TestContacts TestTags rdstationtest.TestT21TagPresent
T22   TestOneContactsLimit TestClassify rdstationtest.TestT22PatchLimit
T23   TestClassify rdstationtest.TestT23GatewayQuota
T24   TestFunnel rdstationtest.TestT24FunnelUpdate
T25   TestFunnel rdstationtest.TestT25UnknownOwner
T26   TestAssets rdstationtest.TestT26AllContacts
T27   TestContactEvents rdstationtest.TestT27ConversionHistory
T28   TestFields rdstationtest.TestT28MultipleChoice
T29   TestEveryEvent rdstationtest.TestT29Conversion
T30   TestClassify TestRefusedEvents rdstationtest.TestT30TagsAsString
T31   TestClassify TestRefusedEvents rdstationtest.TestT31UnknownType
T32   TestEveryEvent rdstationtest.TestT32Sale
T33   TestEveryEvent rdstationtest.TestT33Batch
T34   TestClassify TestAPIKey rdstationtest.TestT34KeyOfCRM
T35   TestEveryEvent rdstationtest.TestT35Checkout
T36   TestAnalytics rdstationtest.TestT36AnalyticsOfConversions
T37   TestMarketingWebhooks rdstationtest.TestT37CreateSubscription
T38   TestRefusedTarget rdstationtest.TestT38TargetFails
T39   TestMarketingWebhooks rdstationtest.TestT39DeliveryOfConversion
T40   TestMarketingWebhooks rdstationtest.TestT40DeliveryOfOpportunity
T41   TestCRMWebhooks rdstationtest.TestT41DealDeleted
T42   TestCRMWebhooks rdstationtest.TestT42DealUpdated
T43   TestOverLoopback rdstationtest.TestT43TokenCheck
T44   TestV1BadToken TestClassify rdstationtest.TestT44BadToken
T45   TestV1Push TestClassify rdstationtest.TestT45TaskWithoutSubject
T46   TestV1Push rdstationtest.TestT46MoveDeal
T47   TestCRMPages TestCRMByChange rdstationtest.TestT47IncrementalDeals
T48   TestCRMPages TestClassify rdstationtest.TestT48InternalPrefix
T49   TestClassify rdstationtest.TestT49Throttled
T50   TestCRMWebhooks rdstationtest.TestT50WebhookWithHeader
Q1    rdstationtest.TestF1ClassicDialog
Q2    TestBothFlows TestTokenOfTheOtherProduct
Q3    TestBothFlows rdstationtest.TestF6SuccessHasThreeKeys
Q4    TestBothFlows rdstationtest.TestF7Rotation
Q5    TestIdleRefreshToken
Q6    TestBothFlows rdstationtest.TestF9ExpiryStyles
Q7    TestTokenOfTheOtherProduct
Q8    TestClassify FuzzClassify rdstationtest.TestErrorShapes
Q9    TestRefusedTarget
Q10   TestMarketingWebhooks
Q11   TestMarketingWebhooks rdstationtest.TestF43Administration
Q12   TestOldForm
Q13   TestForgedDeliveries
Q14   TestRepeatedDeliveries
Q15   rdstationtest.TestF45Retries
Q16   TestContacts TestTags
Q17   TestTags
Q18   rdstationtest.TestF20Patch rdstationtest.TestF33UnknownKeysAreDropped
Q19   rdstationtest.TestF35QualificationOfStrangers
Q20   TestFunnel rdstationtest.TestF26Funnel
Q21   TestFunnel
Q22   TestAnalytics
Q23   TestAssets rdstationtest.TestF58Spelling
Q24   TestAssets rdstationtest.TestF28Segmentations
Q25   TestContactsWhileTheyConvert TestMarketingWebhooks
Q26   TestFetch
Q27   TestOneContactsLimit
Q28   TestClassify
Q29   TestAnHourOfMixedLoad
Q30   TestFaultsAreSurvived
Q31   TestClassify
Q32   TestLiteralSigns
Q33   TestDecodeTraffic
Q34   TestV1Push rdstationtest.TestF52NestedStage
Q35   rdstationtest.TestF53V1Errors
Q36   rdstationtest.TestF50TokensAndVisibility
Q37   TestCRMByChange
Q38   TestCRMByChange
Q39   TestEveryEntityIsRead
Q40   TestAnalytics
Q41   TestMarketingWebhooks
Q42   TestOthersSpendToo
`

func TestCommentsNameTheirSource(t *testing.T) { sheettest.Comments(t) }

func TestSheet(t *testing.T) {
	sheettest.Check(t, sheetIndex, sheettest.Numbers{Letter: "F", Last: 60}, sheettest.Numbers{Letter: "T", Last: 50}, sheettest.Numbers{Letter: "Q", Last: 42})
}
