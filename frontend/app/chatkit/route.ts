export { forward as POST } from "@/lib/server/backend";
