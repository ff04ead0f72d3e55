export { forward as GET } from "@/lib/server/backend";
